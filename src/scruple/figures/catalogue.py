"""Which figures there are, which of them a study can have, and what their captions say.

The Snakefile reads this at every start, so it names figures and draws none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scruple import texts
from scruple.analysis.axes import axes_of
from scruple.study.conditions import is_judged
from scruple.study.model import Study


@dataclass(frozen=True)
class Entry:
    """A figure.

    Attributes:
        name: of its files.
        module: of `scruple.figures`, which has `draw_<name>`.
        title: what it shows, in a few words.
        caption: what is seen in it, and how to read it.
        applies: tells whether a study has what it takes.
    """

    name: str
    module: str
    title: str
    caption: str
    applies: Callable[[Study], bool]


def _always(study: Study) -> bool:
    return bool(study.families)


def _has(kind: str) -> Callable[[Study], bool]:
    return lambda study: any(benchmark.kind == kind for benchmark in study.benchmarks)


def _judges(study: Study) -> bool:
    """Tell whether a benchmark has margins and a condition that is judged."""
    judged = any(is_judged(name) for name in study.conditions)
    return judged and any(study.margin(benchmark) for benchmark in study.benchmarks)


def _varies(study: Study) -> bool:
    """Tell whether something is asked in several ways."""
    several = any(len(b.scorings) > 1 or b.orders > 1 for b in study.benchmarks)
    return _judges(study) and (several or len(study.wordings) > 1)


def _has_sizes(study: Study) -> bool:
    return _judges(study) and "size" in _axes(study)


def _trains(study: Study) -> bool:
    """Tell whether some size has several stages or steps."""
    return bool(_axes(study) - {"size"})


def _axes(study: Study) -> set[str]:
    """Return the kinds of axes that the study's families have, of those that it looks along."""
    return {axis.kind for family in study.families for axis in axes_of(family, study.axes)}


def _entry(name: str, module: str, applies: Callable[[Study], bool]) -> Entry:
    return Entry(name, module, *texts.FIGURES[name], applies)


CATALOGUE = (
    _entry("scaling", "scaling", _always),
    _entry("emergence", "forests", _has_sizes),
    _entry("effects", "forests", _judges),
    _entry("training", "scaling", _trains),
    _entry("grid", "tradeoff", lambda study: _trains(study) and _judges(study)),
    _entry("categories", "scaling", _has("bbq")),
    _entry("pronouns", "details", _has("winogender")),
    _entry("profiles", "details", _has("admissions")),
    _entry("accuracy", "scaling", _has("bbq")),
    _entry("disambiguated", "scaling", _has("bbq")),
    _entry("tradeoff", "tradeoff", _judges),
    _entry("measures", "scaling", _always),
    _entry("validity", "scaling", _always),
    _entry("sensitivity", "forests", _varies),
    _entry("cost", "tradeoff", _judges),
)
"""Every figure, in the order of the report."""


def figures_of(study: Study) -> tuple[Entry, ...]:
    """Return the figures that a study has."""
    return tuple(entry for entry in CATALOGUE if entry.applies(study))
