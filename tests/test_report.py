"""The report in a real headless browser: it opens offline, filters, sorts, and runs nothing."""

import html
import json
import shutil
import time
from dataclasses import replace

import pandas as pd
import pytest

from scruple.figures import draw
from scruple.figures.results import read_tables
from scruple.figures.style import save
from scruple.report.browse import browse
from scruple.report.sentences import sentence
from scruple.report.write import Material, write_page
from scruple.statistics.emergence import VERDICTS
from scruple.study.declaration import Timing
from scruple.study.model import load_study, read_yaml

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="module")
def material(control_project):
    """What the embedded study's page is made from."""
    config = read_yaml(control_project / "config.yaml")
    study = load_study(config | read_yaml(control_project / "studies" / "control.yaml"))
    folder = control_project / "results" / "control"
    jobs = [(f, c, b.name) for f, c in study.members() for b in study.benchmarks]
    place = "{0}/{1}/{2}.parquet"
    tables = read_tables(study, folder, {j: folder / "sums" / place.format(*j) for j in jobs})
    figures = {p.stem: p for p in (control_project / "figures" / "control").glob("*.svg")}
    browser = browse(
        study,
        {b.name: folder / "items" / f"{b.name}.parquet" for b in study.benchmarks},
        {j: folder / "responses" / place.format(*j) for j in jobs},
        most=5000,
    )
    record = json.loads((folder / "provenance.json").read_text())
    return Material(tables, folder, figures, browser, Timing(), record)


@pytest.fixture(scope="module")
def driver():
    """A headless browser; the tests are skipped where there is none."""
    chrome = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if chrome is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                     "window-size=1280,1000"):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield browser
    browser.quit()


def wait(condition, seconds=20):
    for _ in range(int(seconds / 0.1)):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def opened(driver, path):
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(f"file://{path}")
    ready = "const d = document.documentElement.dataset; return d.rows && d.charts"
    wait(lambda: driver.execute_script(ready))
    return driver


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def texts(driver, selector):
    """Read all texts at once, so that a table that is drawn anew meanwhile does no harm."""
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    return driver.execute_script(script, selector)


@pytest.fixture(scope="module")
def page(driver, control_project):
    return opened(driver, control_project / "results" / "control" / "report.html")


def test_it_needs_nothing_from_outside_and_says_nothing_to_the_console(driver, control_project):
    opened(driver, control_project / "results" / "control" / "report.html")
    assert driver.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in sent
            if one["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert urls
    assert all(url.startswith(("file:///", "data:")) for url in urls), urls
    assert len([url for url in urls if url.startswith("file:")]) == 1


def test_it_shows_as_many_responses_as_it_says(page):
    rows = int(page.execute_script("return document.documentElement.dataset.rows"))
    assert rows == 106_920  # not so many more than 100,000 that a part would be taken
    assert "106,920 responses match" in page.find_element("id", "matching").text


def test_filters_and_sorting(page):
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("id", "filter-condition")).select_by_visible_text("q+if+cot")
    Select(page.find_element("id", "filter-benchmark")).select_by_visible_text("winogender")
    wait(lambda: set(texts(page, "#list tbody td:nth-child(6)")) == {"q+if+cot"})
    wait(lambda: set(texts(page, "#list tbody td:nth-child(3)")) == {"winogender"})
    for order in ("asc", "desc"):
        find(page, "#list thead th")[-1].click()
        wait(lambda order=order: find(page, f"#list thead th:last-child.dt-ordering-{order}"))
    values = [float(text) for text in texts(page, "#list tbody td:last-child")]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9


def test_a_response_is_shown_with_its_prompt(page):
    find(page, "#list .open")[0].click()
    detail = page.find_element("id", "detail")
    wait(lambda: "sampled" in detail.text)
    assert [turn.text.split("\n")[0] for turn in find(page, "#detail .turn")] == [
        "human", "assistant, given", "assistant, sampled", "human", "assistant, given",
    ]  # fmt: skip
    assert len(find(page, "#detail .bar")) == 3
    assert "probability on valid answers" in detail.text


def test_marks_tell_their_numbers_and_conditions_can_be_hidden(page):
    from selenium.webdriver.common.action_chains import ActionChains

    marks = find(page, "#bias-bbq svg .mark-symbol path")
    assert len(marks) == 6 * 5  # sizes × conditions that have a bias
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", marks[3])
    ActionChains(page).move_to_element(marks[3]).perform()
    tip = wait(lambda: find(page, "#vg-tooltip-element.visible"))[0].text
    assert "condition" in tip
    assert "3592" in marks[3].get_attribute("aria-label") + tip or "1604" in tip
    assert "params" in tip
    find(page, "#controls input[value='Q+IF']")[0].click()
    wait(lambda: len(find(page, "#bias-bbq svg .mark-symbol path")) == 6 * 4)


def test_tables_can_be_sorted(page):
    start = "#tables details[open] table.sortable "
    page.execute_script("arguments[0].scrollIntoView()", find(page, start)[0])
    headers = find(page, start + "thead th")
    place = [header.text.strip() for header in headers].index("verdict")
    headers[place].click()
    wait(lambda: find(page, start + "thead th.dt-ordering-asc"))
    verdicts = texts(page, start + f"tbody td:nth-child({place + 1})")
    assert verdicts == sorted(verdicts)
    assert set(verdicts) <= set(VERDICTS)


@pytest.mark.parametrize("width", [390, 768])
def test_it_fits_a_narrow_screen(driver, control_project, width):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened(driver, control_project / "results" / "control" / "report.html")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def hostile(material, tmp_path):
    """Return the material with a hostile text wherever a model's or a file's text goes."""
    study, folder = material.tables.study, material.folder
    key = ("control-positive", "d96", "winogender")
    answers = pd.read_parquet(folder / "responses" / "/".join(key[:2]) / "winogender.parquet")
    answers["reasoning"] = answers["reasoning"].where(answers["reasoning"].isna(), HOSTILE)
    answers.to_parquet(tmp_path / "responses.parquet")
    items = pd.read_parquet(folder / "items" / "winogender.parquet")
    items["before"] = HOSTILE
    items.to_parquet(tmp_path / "items.parquet")
    small = study.model_copy(
        update={"benchmarks": tuple(b for b in study.benchmarks if b.name == "winogender")}
    )
    browser = browse(
        small, {"winogender": tmp_path / "items.parquet"}, {key: tmp_path / "responses.parquet"}
    )
    browser["names"]["item"] = [HOSTILE for _ in browser["names"]["item"]]
    verdicts = material.tables.emergence.assign(reason=HOSTILE)
    tables = replace(material.tables, emergence=verdicts)
    return replace(material, tables=tables, browser=browser, declared=Timing(True, HOSTILE))


def test_text_is_never_run(driver, material, tmp_path):
    path = tmp_path / "hostile.html"
    path.write_text(write_page(hostile(material, tmp_path)), encoding="utf-8")
    opened(driver, path)
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", "filter-condition")).select_by_visible_text("q+if+cot")
    wait(lambda: find(driver, "#list .open"))[0].click()
    detail = driver.find_element("id", "detail")
    wait(lambda: "sampled" in detail.text)
    assert detail.text.count("window.hacked=1") >= 4  # as text, in item, prompt and reasoning
    assert driver.execute_script("return window.hacked") is None
    assert find(driver, "#detail img, #detail script, #list img") == []
    assert driver.get_log("browser") == []


def test_the_page_tells_without_any_script(material):
    page = write_page(material)
    assert page == write_page(material)
    before = html.unescape(page[: page.index("<script")])
    assert "removes bias against Q and Q+Placebo at each size from 12k parameters on" in before
    assert "(of these: 1604 nothing to correct, 3592 nothing to correct)" in before
    assert "never evidence about language models" in before
    assert "declared before the first response" in before
    assert before.count("<img") == len(material.figures)
    assert "default-src 'none'" in before
    late = write_page(replace(material, declared=Timing(True, "2026-01-01", ("seed",), 3)))
    assert '<p class="note" role="alert">Margins' in late
    assert '<p class="note" role="alert">Margins' not in page


def test_every_figure_is_whole_and_has_the_same_bytes_in_another_process(material, tmp_path):
    for name, drawn in material.figures.items():
        path = tmp_path / f"{name}.svg"
        figure = draw(name, material.tables)
        save(figure, [str(path)])
        assert path.read_bytes() == drawn.read_bytes(), name
        text, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(text.x0, text.y0, width - text.x1, height - text.y1) > 0, name  # nothing is cut


def test_a_part_of_the_items_is_the_same_at_every_checkpoint(material):
    found = material.browser
    assert 3000 < found["rows"] < 7000
    assert found["all"] == 106_920


@pytest.mark.parametrize("axis", ["size", "stage", "step"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_sentence(axis, verdict):
    ends = ("sft", "dpo") if axis == "stage" else (1000.0, 70e6)
    row = {"axis_kind": axis, "verdict": verdict, "above": ends[0], "at_most": ends[1],
           "references": "q q+placebo", "untested": "10: unreadable", "unfinished": "big",
           "reason": "nothing that is read"}  # fmt: skip
    told = sentence(row)
    assert told.endswith(".")
    assert "nan" not in told
    assert "{" not in told
    row |= {"above": float("nan"), "at_most": float("nan")}
    if verdict not in ("emerges",):
        assert "nan" not in sentence(row)
