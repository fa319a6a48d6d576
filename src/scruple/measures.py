"""Which metrics a study may declare as its measures of bias and of capability.

The Snakefile reads this at every start, so it names metrics and computes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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

LSAT_CENTRE = 37.0
"""Near the survey's mean: sums of scores are taken from here, and keep more digits."""
