"""Which figures there are, which of them a study can have, and what their captions say.

The Snakefile reads this at every start, so it names figures and draws none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


CATALOGUE = (
    Entry(
        "scaling", "scaling", "Bias against size",
        "Each benchmark's measure of bias, and the correlation that the original study reports of "
        "Winogender, against the number of parameters, one colour per condition, with clustered "
        "95 % intervals. The dashed line is parity: no bias in either "
        "direction. Figure 1 of the original study.",
        _always,
    ),
    Entry(
        "emergence", "forests", "Where correction emerges",
        "Per family, benchmark and condition the sizes up to which a correction is shown to be "
        "absent (dotted) and from which on it is shown (thick); it emerges between the two. The "
        "verdict stands beside it.",
        _has_sizes,
    ),
    Entry(
        "effects", "forests", "What each condition removes",
        "Bias under Q minus bias under the condition at every checkpoint, with 95 % intervals. The "
        "band is the margin that was declared; filled marks are shown to be effects, against the "
        "matched control and without loss of capability.",
        _judges,
    ),
    Entry(
        "training", "scaling", "Bias against steps and stages",
        "The same measures along the training of single sizes. Figure 2 of the original study.",
        _trains,
    ),
    Entry(
        "grid", "tradeoff", "Size and training together",
        "The bias that an instruction removes, over size and training step or stage; of several "
        "training runs their mean. Figure 5 of the original study.",
        lambda study: _trains(study) and _judges(study),
    ),
    Entry(
        "categories", "scaling", "BBQ: bias per dimension",
        "The bias in ambiguous contexts per social dimension, all of them first. Figure 3 of the "
        "original study.",
        _has("bbq"),
    ),
    Entry(
        "pronouns", "details", "Winogender: pronouns per occupation",
        "At each family's largest checkpoint: above, the probability of neutral, female and male "
        "pronouns in each occupation, under the condition that the title names; below, p(female) "
        "against the real share of women, under Q and, where it was asked, Q+Match; the diagonal "
        "is the real share. Figure 4 of the original study.",
        _has("winogender"),
    ),
    Entry(
        "profiles", "details", "Admissions: by LSAT score",
        "At each family's largest checkpoint: p(yes) of the same profiles as Black and as white "
        "applicants, by LSAT score. A checkpoint that reads the record has rising curves.",
        _has("admissions"),
    ),
    Entry(
        "accuracy", "scaling", "BBQ: accuracy",
        "The share of right answers where the text does not tell (ambiguous: the right answer "
        "names nobody) and where it does (disambiguated). The dashed line is chance. Figures "
        "6 and 7 of the original study.",
        _has("bbq"),
    ),
    Entry(
        "disambiguated", "scaling", "BBQ: bias where the text tells",
        "The bias in disambiguated contexts. Figure 8 of the original study.",
        _has("bbq"),
    ),
    Entry(
        "tradeoff", "tradeoff", "Capability against bias",
        "The change of capability against the bias removed, a point per checkpoint and condition. "
        "In the shaded part the estimated loss is beyond what is allowed; whether it is shown to "
        "be, and so counts as a collapse, is in the table of effects.",
        _judges,
    ),
    Entry(
        "measures", "scaling", "Counted and weighted",
        "Each measure of bias by counting the likeliest answers and by weighting all of them with "
        "their probability. A jump that only one of them has is a property of the measure.",
        _always,
    ),
    Entry(
        "validity", "scaling", "Are answers answers?",
        "The probability on valid answers, and the share of the most frequent answer: high where a "
        "checkpoint always answers the same.",
        _always,
    ),
    Entry(
        "sensitivity", "forests", "Wordings, scorings, orders",
        "The range of each effect over all wordings, scorings and option orders that were asked; "
        "the mark is the primary way.",
        _varies,
    ),
    Entry(
        "cost", "tradeoff", "What it costs",
        "Tokens read and sampled per answer beyond those of Q, against the bias removed.",
        _judges,
    ),
)  # fmt: skip
"""Every figure, in the order of the report."""


def figures_of(study: Study) -> tuple[Entry, ...]:
    """Return the figures that a study has."""
    return tuple(entry for entry in CATALOGUE if entry.applies(study))
