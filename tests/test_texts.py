"""Every text that is asked for is there, and none is left over."""

import re

from conftest import ROOT

from scruple import texts
from scruple.figures.catalogue import CATALOGUE
from scruple.statistics.effects import STATUSES
from scruple.statistics.emergence import VERDICTS

PAGE = ROOT / "src" / "scruple" / "report" / "page"


def test_every_status_and_verdict_has_its_text():
    assert set(texts.STATUS) == set(STATUSES)
    assert set(texts.SENTENCE) == set(VERDICTS)


def test_every_figure_has_its_title_and_caption():
    assert list(texts.FIGURES) == [entry.name for entry in CATALOGUE]
    for title, caption in texts.FIGURES.values():
        assert title
        assert caption.endswith(".")


def test_the_page_uses_all_of_its_texts_and_no_others():
    used = set(re.findall(r"\bt\.([a-z_0-9]+)", (PAGE / "report.html.j2").read_text()))
    assert used == set(texts.PAGE)


def test_the_script_uses_all_of_its_texts_and_no_others():
    used = set(re.findall(r"\bsay\.([A-Za-z_0-9]+)", (PAGE / "report.js").read_text()))
    assert used == set(texts.PAGE_SCRIPT)
