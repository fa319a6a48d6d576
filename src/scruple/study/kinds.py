"""One record for each kind of benchmark, with everything that is not in its own module.

Config, prompt check, plan, figures and report use these records. So a new kind needs one record, a
module in `scruple.benchmarks`, and its data. The Snakefile imports this module at every start, so
it names metrics but computes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema


@dataclass(frozen=True)
class Needs:
    """What the prompt files of a kind of benchmark must and may contain.

    Attributes:
        slots: names that may appear in braces, in any text.
        question: slots that `question` must contain.
        forms: required keys of `answers`; if empty, the benchmark's scorings are required.
        cases: grammatical cases with candidates of their own; empty if cases do not matter.
        answers: the answers with surface forms of their own.
        words: group of words → the words that the group must define.
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
        counterparts: measure of bias → its counterpart (counted or probability-weighted).
        capabilities: metrics that show whether a checkpoint reads the question and answers it.
        subsets: subsets of the items that all metrics are computed for and margins may name;
            the empty name means all items.
        sign: the sign of a stereotyped bias; None if it is the sign of the bias under `q`.
    """

    counterparts: Mapping[str, str]
    capabilities: tuple[str, ...]
    subsets: tuple[str, ...] = ("",)
    sign: float | None = None


@dataclass(frozen=True)
class BenchmarkKind:
    """One kind of benchmark.

    Attributes:
        name: the value of `kind` in the config.
        needs: what its prompt files must and may contain.
        measures: its metrics of bias and capability.
        bias: the bias metric that figures show if no margin names one.
        subset: the subset that contains every item once.
        titles: metric → title on axes and panels, with line breaks.
        beside: further metrics that the scaling figure shows, as (metric, title).
        has_options: whether items have options. Then they can be scored by letter or text, shown
            in several orders, and restricted to some categories.
        items_per_unit: items per sampled unit; `max_items` counts units.
        tokens: counts of items and tokens that the plan uses while items or tokenizer are missing,
            in the format of an entry of data/tokens.yaml; None to use that file's entry.
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
"""Close to the survey's mean; it is subtracted before scores are summed, to reduce rounding."""

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
"""All kinds of benchmarks, by name."""


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
"""Name of a kind of benchmark, checked against KINDS."""
