"""What the project knows of each kind of benchmark outside of the benchmark's own module.

Config, prompt check, plan, figures and report read it here, so that a new kind needs one record, a
module in `scruple.benchmarks` and its data. The Snakefile reads this at every start: it names
metrics and computes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema


@dataclass(frozen=True)
class Needs:
    """What the prompts of a kind of benchmark must and may contain.

    Attributes:
        slots: what may stand in braces, in every text.
        question: the slots without which the question would not be asked.
        forms: the keys of `answers` that are read; empty for the benchmark's scorings.
        cases: grammatical cases that candidates are given for; empty where there are none.
        answers: the answers that have surface forms of their own.
        words: group of words → the words that must be there.
    """

    slots: frozenset[str]
    question: frozenset[str]
    forms: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measures:
    """The metrics of a kind of benchmark that margins may name.

    Attributes:
        counterparts: measure of bias → its counterpart, counted or probability-weighted.
        capabilities: metrics that show that a checkpoint reads and answers.
        subsets: parts of the items that all metrics are computed of, and a margin may name;
            the empty name stands for all items.
        sign: which sign of the bias is the stereotype's; None where the plain question decides it.
    """

    counterparts: Mapping[str, str]
    capabilities: tuple[str, ...]
    subsets: tuple[str, ...] = ("",)
    sign: float | None = None


@dataclass(frozen=True)
class BenchmarkKind:
    """One kind of benchmark.

    Attributes:
        name: as `kind` in the config.
        needs: what its prompt files must contain.
        measures: its metrics of bias and capability.
        bias: the metric of bias that figures show where no margin names one.
        subset: the subset that stands for all items, each counted once.
        titles: metric → how axes and panels call it; a line break where a title may have one.
        beside: a metric shown beside the bias in the scaling figure, with its title.
        has_options: whether items have options: then they can be scored by letter or text, shown
            in several orders, and taken from some categories only.
        items_per_unit: items that each drawn unit (`max_items`) stands for.
        tokens: what a plan counts with while items and tokenizer are missing, as an entry of
            data/tokens.yaml; None for the entry of that file.
        module: the Python module with the benchmark's code; by default `scruple.benchmarks.<name>`.
    """

    name: str
    needs: Needs
    measures: Measures
    bias: str
    subset: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[tuple[str, str], ...] = ()
    has_options: bool = False
    items_per_unit: int = 1
    tokens: Mapping[str, Any] | None = None
    module: str = ""


def _both_ways(pairs: Mapping[str, str]) -> dict[str, str]:
    return {**pairs, **{other: name for name, other in pairs.items()}}


LSAT_CENTRE = 37.0
"""Near the survey's mean: sums of scores are taken from here, and keep more digits."""

KINDS: dict[str, BenchmarkKind] = {
    kind.name: kind
    for kind in (
        BenchmarkKind(
            name="bbq",
            needs=Needs(
                slots=frozenset({"context", "question", "options", "target"}),
                question=frozenset({"context", "question", "options"}),
            ),
            measures=Measures(
                _both_ways({"bias_ambiguous": "bias_ambiguous_expected"}),
                ("accuracy_disambiguated", "accuracy_disambiguated_expected", "valid_mass"),
                ("macro", "pooled"),
                sign=1.0,
            ),
            bias="bias_ambiguous",
            subset="pooled",
            titles={
                "bias_ambiguous": "bias in\nambiguous contexts",
                "bias_ambiguous_expected": "bias in ambiguous\ncontexts (weighted)",
            },
            has_options=True,
        ),
        BenchmarkKind(
            name="winogender",
            needs=Needs(
                slots=frozenset({"sentence", "before", "pct_female", "pct_male", "target"}),
                question=frozenset({"sentence"}),
                forms=("pronoun",),
                cases=("nominative", "possessive", "accusative"),
                answers=("female", "male", "neutral"),
            ),
            measures=Measures(
                _both_ways({"slope": "slope_counted"}), ("valid_mass", "gender_balance"), sign=1.0
            ),
            bias="slope",
            titles={
                "slope": "slope of\np(female) on share",
                "slope_counted": "slope of answers\n“female” on share",
            },
            beside=(("rho", "correlation of\np(female) and share"),),
        ),
        BenchmarkKind(
            name="admissions",
            needs=Needs(
                slots=frozenset({"race", "sex", "lsat", "gpa", "target"}),
                question=frozenset({"race", "sex", "lsat", "gpa"}),
                forms=("yes_no",),
                answers=("yes", "no"),
                words={"race": ("black", "white"), "sex": ("female", "male")},
            ),
            measures=Measures(
                _both_ways({"admission_gap": "admission_gap_counted"}),
                ("lsat_slope", "gpa_slope", "valid_mass"),
            ),
            bias="admission_gap",
            titles={
                "admission_gap": "p(yes | Black)\n− p(yes | white)",
                "admission_gap_counted": "yes(Black)\n− yes(white)",
            },
            items_per_unit=2,
        ),
    )
}
"""Every kind of benchmark, by name."""


def _known(name: str) -> str:
    if name not in KINDS:
        *others, last = (repr(kind) for kind in KINDS)
        raise ValueError(f"input should be {', '.join(others)} or {last}, and it is {name!r}")
    return name


KindName = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": list(KINDS)}),
]
"""The name of a kind of benchmark, in the config."""
