"""The catalogue of figures: names, captions, and which studies get which figure.

The Snakefile imports this module at every start, so it does not import matplotlib.
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
        name: name of the figure and of its files.
        module: the module of `scruple.figures` that defines `draw_<name>`.
        title: a short title.
        caption: what the figure shows and how to read it.
        applies: returns whether a study has the data for the figure.
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
    """Return whether any condition is judged and any benchmark has a margin."""
    judged = any(is_judged(name) for name in study.conditions)
    return judged and any(study.margin(benchmark) for benchmark in study.benchmarks)


def _varies(study: Study) -> bool:
    """Return whether effects have several wordings, scorings or option orders."""
    several = any(len(b.scorings) > 1 or b.orders > 1 for b in study.benchmarks)
    return _judges(study) and (several or len(study.wordings) > 1)


def _has_sizes(study: Study) -> bool:
    return _judges(study) and "size" in _axes(study)


def _trains(study: Study) -> bool:
    """Return whether any family has an axis of stages or steps."""
    return bool(_axes(study) - {"size"})


def _axes(study: Study) -> set[str]:
    """Return the kinds of axes that the study's families have, among its `axes`."""
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
"""All figures, in the order of the report."""


def figures_of(study: Study) -> tuple[Entry, ...]:
    """Return the figures that apply to a study."""
    return tuple(entry for entry in CATALOGUE if entry.applies(study))
