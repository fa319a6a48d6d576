"""Values stated in the text of the original paper, drawn as markers at a panel's edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from scruple.figures.style import look_of
from scruple.study.model import ROOT, Study

PATH = ROOT / "data" / "published" / "ganguli2023.csv"


@dataclass(frozen=True)
class Mark:
    """A value that the paper states for a condition."""

    condition: str
    value: float


def marks_of(study: Study, benchmark: str, metric: str) -> list[Mark]:
    """Return the published values of a metric; empty unless the study uses the published items."""
    entry = study.benchmark(benchmark)
    if entry.source != "upstream":
        return []
    table = pd.read_csv(PATH)
    mine = table[(table["benchmark"] == entry.kind) & (table["metric"] == metric)]
    return [
        Mark(condition, value)
        for condition, value in zip(mine["condition"], mine["value"], strict=True)
        if condition in study.conditions
    ]


def draw_marks(axis: Axes, marks: Sequence[Mark], conditions: Sequence[str]) -> None:
    """Draw marks as hollow triangles at the right edge, because they belong to a larger model."""
    for mark in marks:
        axis.plot(
            [0.985], [mark.value], marker="<", markersize=4, markerfacecolor="none",
            markeredgecolor=look_of(mark.condition, conditions)[0], markeredgewidth=0.8,
            transform=axis.get_yaxis_transform(), clip_on=False, linestyle="none",
        )  # fmt: skip
