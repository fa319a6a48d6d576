"""The scaling figure: each benchmark's metric against the number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from scruple.figures.style import MM, WIDTH, look_of, set_style

PANELS = {
    "bbq": ("bias_ambiguous", "BBQ: bias in\nambiguous contexts"),
    "winogender": ("rho", "Winogender: correlation of\np(female) with real share"),
    "admissions": ("admission_gap", "Admissions:\np(yes | Black) − p(yes | white)"),
}
"""Per kind of benchmark: the metric drawn, and how the axis is called."""

_FILLS: Any = ("full", "none", "left", "right", "top", "bottom")
_LEGEND_COLUMNS = {1: 3, 2: 5, 3: 6}
"""Entries in a row of the legend that fit a figure of so many panels side by side."""
_SPREAD = 0.6
"""Share of the mean distance between sizes over which the points of one size are spread."""


def draw_scaling(
    metrics: pd.DataFrame,
    kinds: Mapping[str, str],
    conditions: Sequence[str],
    wording: str,
    scoring: Mapping[str, str],
) -> Figure:
    """Draw one panel per benchmark, one line per condition, family and stage.

    Of checkpoints that differ in their step alone, the last is drawn.

    Args:
        metrics: the metrics table, as `read_metrics` gives it.
        kinds: benchmark → kind, in the order of the panels.
        conditions: the study's conditions, in the order of the legend.
        wording: the wording drawn where a condition has several.
        scoring: family → the scoring drawn where a benchmark has several.
    """
    set_style()
    rows = -(-len(kinds) // 3)
    columns = min(len(kinds), 3)
    width = WIDTH if columns > 1 else WIDTH * 0.6
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, (62 * rows + 16) * MM), squeeze=False, layout="constrained"
    )
    for spare in axes.flat[len(kinds) :]:
        spare.remove()
    drawn: list[str] = []
    lines = list(metrics[["family", "stage"]].drop_duplicates().itertuples(index=False, name=None))
    for axis, (benchmark, kind) in zip(axes.flat, kinds.items(), strict=False):
        metric, label = PANELS[kind]
        table = _chosen(metrics, benchmark, metric, wording, scoring)
        shown = [name for name in conditions if name in set(table["condition"])]
        drawn += [name for name in shown if name not in drawn]
        _panel(axis, table, shown, lines, conditions)
        axis.set_title(benchmark if list(kinds.values()).count(kind) > 1 else "")
        axis.set_ylabel(label)
    handles = [_handle(name, conditions) for name in conditions if name in drawn]
    handles += [_family_handle(i, line) for i, line in enumerate(lines)]
    figure.legend(
        handles=handles, loc="outside lower center", frameon=False,
        ncols=min(len(handles), _LEGEND_COLUMNS[columns]),
        title="bars: 95 % intervals over items", title_fontsize=6,
    )  # fmt: skip
    return figure


def _chosen(
    metrics: pd.DataFrame, benchmark: str, metric: str, wording: str, scoring: Mapping[str, str]
) -> pd.DataFrame:
    """Return the rows of one panel: one per family, stage, size and condition."""
    primary = metrics["family"].map(scoring)
    rows = metrics[
        (metrics["benchmark"] == benchmark)
        & (metrics["metric"] == metric)
        & metrics["wording"].isin(["", wording])
        & metrics["subset"].isin(["", "pooled"])
        & ((metrics["scoring"] == "") | (metrics["scoring"] == primary))
    ]
    one = ["family", "stage", "params", "condition"]
    return rows.sort_values("step", na_position="first").drop_duplicates(one, keep="last")


def _panel(
    axis: Axes,
    table: pd.DataFrame,
    shown: Sequence[str],
    lines: Sequence[tuple[str, str]],
    conditions: Sequence[str],
) -> None:
    axis.axhline(0, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axis.annotate(
        "parity", (1, 0), xycoords=axis.get_yaxis_transform(), xytext=(2, 0), va="center",
        textcoords="offset points", fontsize=5.5, color="0.4", annotation_clip=False,
    )  # fmt: skip
    axis.set_xlabel("parameters")
    if table.empty:
        axis.text(0.5, 0.6, "not measured", transform=axis.transAxes, ha="center")
        return
    low, high = table["params"].min(), table["params"].max()
    if low == high:
        low, high = low / 2, high * 2
    sizes = max(table["params"].nunique(), 2)
    gap = (high / low) ** (1 / sizes)  # mean ratio from one size to the next, or thereabouts
    pad = gap**_SPREAD
    axis.set_xscale("log")
    axis.set_xlim(low / pad, high * pad)
    places = [(condition, line) for condition in shown for line in lines]
    for place, (condition, (family, stage)) in enumerate(places):
        color, marker, dashes = look_of(condition, conditions)
        shift = gap ** (_SPREAD * ((place + 0.5) / len(places) - 0.5))
        points = table[
            (table["condition"] == condition)
            & (table["family"] == family)
            & (table["stage"] == stage)
        ].sort_values("params")
        x = points["params"] * shift
        axis.plot(
            x, points["value"], color=color, marker=marker, linestyle=dashes, linewidth=1,
            markersize=3.5, fillstyle=_FILLS[lines.index((family, stage)) % len(_FILLS)],
            markeredgewidth=0.8,
        )  # fmt: skip
        axis.vlines(x, points["ci_low"], points["ci_high"], color=color, linewidth=0.9, alpha=0.7)
    _ticks(axis, sorted(table["params"].unique()))


def _ticks(axis: Axes, sizes: Sequence[int]) -> None:
    """Label the sizes themselves where they are few, powers of ten where they are many."""
    if len(sizes) <= 8:
        turn = 60 if len(sizes) > 4 else 0
        axis.set_xticks(
            sizes, [_size(size) for size in sizes], rotation=turn, rotation_mode="anchor",
            ha="right" if turn else "center",
        )  # fmt: skip
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", which="minor", bottom=False)
    else:
        axis.xaxis.set_major_locator(LogLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _size(value)))


def _size(params: float) -> str:
    """Write a number of parameters shortly: 70M, 1.4B."""
    rounded = float(f"{params:.3g}")
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            return f"{rounded / size:.3g}{unit}"
    return f"{rounded:.0f}"


def _handle(condition: str, conditions: Sequence[str]) -> Line2D:
    color, marker, dashes = look_of(condition, conditions)
    words = {"q": "Q", "if": "IF", "cot": "CoT"}
    name = "+".join(words.get(part, part.capitalize()) for part in condition.split("+"))
    return Line2D([], [], color=color, marker=marker, linestyle=dashes, label=name, markersize=4)


def _family_handle(number: int, line: tuple[str, str]) -> Line2D:
    family, stage = line
    label = family if stage == "base" else f"{family}, {stage}"
    return Line2D([], [], color="0.3", marker="o", linestyle="", label=label, markersize=4,
                  fillstyle=_FILLS[number % len(_FILLS)])  # fmt: skip
