"""Which metrics a study may declare as its measures of bias and of capability.

The Snakefile reads this at every start, so it names metrics and computes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["bbq", "winogender", "admissions"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Measures:
    """The metrics of a kind of benchmark that margins may name.

    Attributes:
        twins: measures of bias → the same one, counted instead of weighted by probability or the
            other way round.
        capabilities: metrics that show that a checkpoint reads and answers.
        subsets: parts of the items that a measure of bias may be of.
        sign: which sign of the bias is the stereotype's; None where the plain question decides it.
    """

    twins: Mapping[str, str]
    capabilities: tuple[str, ...]
    subsets: tuple[str, ...] = ("",)
    sign: float | None = None


def _both_ways(pairs: Mapping[str, str]) -> dict[str, str]:
    return {**pairs, **{twin: name for name, twin in pairs.items()}}


MEASURES: Mapping[str, Measures] = {
    "bbq": Measures(
        _both_ways({"bias_ambiguous": "bias_ambiguous_expected"}),
        ("accuracy_disambiguated", "accuracy_disambiguated_expected", "valid_mass"),
        ("macro", "pooled"),
        1.0,
    ),
    "winogender": Measures(
        _both_ways({"slope": "slope_counted"}), ("valid_mass", "gender_balance"), sign=1.0
    ),
    "admissions": Measures(
        _both_ways({"admission_gap": "admission_gap_counted"}),
        ("lsat_slope", "gpa_slope", "valid_mass"),
    ),
}


@dataclass(frozen=True)
class Needs:
    """What the prompts of one kind of benchmark must and may have.

    Attributes:
        slots: what may stand in braces, in every text.
        question: the slots without which the question would not be asked.
        cases: grammatical cases that candidates are given for; none where there are no cases.
        answers: the answers that have surface forms of their own.
        words: group of words → the words that must be there.
    """

    slots: frozenset[str]
    question: frozenset[str]
    cases: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] | None = None


NEEDS = {
    "bbq": Needs(
        frozenset({"context", "question", "options", "target"}),
        frozenset({"context", "question", "options"}),
    ),
    "winogender": Needs(
        frozenset({"sentence", "before", "pct_female", "pct_male", "target"}),
        frozenset({"sentence"}),
        cases=("nominative", "possessive", "accusative"),
        answers=("female", "male", "neutral"),
    ),
    "admissions": Needs(
        frozenset({"race", "sex", "lsat", "gpa", "target"}),
        frozenset({"race", "sex", "lsat", "gpa"}),
        answers=("yes", "no"),
        words={"race": ("black", "white"), "sex": ("female", "male")},
    ),
}

LSAT_CENTRE = 37.0
"""Near the survey's mean: sums of scores are taken from here, and keep more digits."""
