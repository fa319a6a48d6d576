"""Forest plots of effects and of their sensitivity, and the intervals of emergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scruple import texts
from scruple.figures.lines import add_legend
from scruple.figures.results import Tables
from scruple.figures.style import MM, WIDTH, called, look_of, set_style, size


def draw_effects(tables: Tables) -> Figure:
    """Draw a forest plot of the effects against `q` at every checkpoint, with margin and status."""
    rows = tables.primary_effects()
    kinds = list(dict.fromkeys(rows["benchmark"]))
    places = list(dict.fromkeys(zip(rows["family"], rows["checkpoint"], strict=True)))
    conditions = [c for c in tables.study.conditions if c in set(rows["condition"])]
    figure, axes = _start(places, conditions, len(kinds))
    for axis, benchmark in zip(axes, kinds, strict=False):
        mine = rows[rows["benchmark"] == benchmark]
        _forest(axis, mine, places, conditions, tables)
        axis.set_title(benchmark)
        axis.set_xlabel(texts.BIAS_REMOVED)
    remark = texts.EFFECTS_REMARK
    add_legend(figure, conditions, tables.study.conditions, tables.notes(), 4, bars=remark)
    return figure


def _start(
    places: Sequence[tuple[str, str]], conditions: Sequence[str], kinds: int
) -> tuple[Figure, Sequence[Axes]]:
    """Create a figure with one row per checkpoint and one panel per benchmark."""
    set_style()
    # in mm; a family's first tick label has two lines, so a row needs at least 6
    row = max(6.0, 2.2 * len(conditions) + 1.6)
    height = min(240.0, 30 + len(places) * row) * MM
    figure, axes = plt.subplots(
        1, max(kinds, 1), figsize=(WIDTH, height), squeeze=False, sharey=True, layout="constrained"
    )
    names = [
        f"{family}\n{name}" if number == 0 or places[number - 1][0] != family else name
        for number, (family, name) in enumerate(places)
    ]
    axes[0, 0].set_yticks(range(len(places)), names)
    axes[0, 0].set_ylim(len(places) - 0.5, -0.5)
    return figure, list(axes[0])


def _forest(
    axis: Axes, rows: pd.DataFrame, places: list[tuple[str, str]], conditions: list[str],
    tables: Tables,
) -> None:  # fmt: skip
    margin = float(rows["margin"].iloc[0])
    axis.axvspan(-margin, margin, color="0.92", zorder=0, linewidth=0)
    axis.axvline(0, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)))
    for row in rows.to_dict("records"):
        shift = (conditions.index(row["condition"]) + 0.5) / len(conditions) - 0.5
        y = places.index((row["family"], row["checkpoint"])) + 0.8 * shift
        color, marker, _ = look_of(row["condition"], tables.study.conditions)
        axis.hlines(y, row["ci_low"], row["ci_high"], color=color, linewidth=0.8)
        face = color if row["status"] == "effect" else "white"
        axis.plot(row["effect"], y, marker, color=color, markersize=3, markerfacecolor=face,
                  markeredgewidth=0.7)  # fmt: skip


def draw_sensitivity(tables: Tables) -> Figure:
    """Draw each effect with its range over wordings, scorings and option orders."""
    table = tables.sensitivity
    kinds = list(dict.fromkeys(table["benchmark"]))
    places = list(dict.fromkeys(zip(table["family"], table["checkpoint"], strict=True)))
    conditions = [c for c in tables.study.conditions if c in set(table["condition"])]
    figure, axes = _start(places, conditions, len(kinds))
    for axis, benchmark in zip(axes, kinds, strict=False):
        axis.axvline(0, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)))
        for row in table[table["benchmark"] == benchmark].to_dict("records"):
            shift = (conditions.index(row["condition"]) + 0.5) / len(conditions) - 0.5
            y = places.index((row["family"], row["checkpoint"])) + 0.8 * shift
            color, marker, _ = look_of(row["condition"], tables.study.conditions)
            axis.hlines(y, row["lowest"], row["highest"], color=color, linewidth=1.6, alpha=0.5)
            axis.plot(row["effect"], y, marker, color=color, markersize=3)
        axis.set_title(benchmark)
        axis.set_xlabel(texts.BIAS_REMOVED)
    ways = int(table["n_ways"].max()) if len(table) else 0
    remark = texts.SENSITIVITY_REMARK.format(ways=ways)
    add_legend(figure, conditions, tables.study.conditions, tables.notes(), 4, bars=remark)
    return figure


def draw_emergence(tables: Tables) -> Figure:
    """Draw the interval of sizes in which each correction emerges, with its verdict."""
    table = tables.emergence
    table = table[table["primary"].astype(bool) & (table["axis_kind"] == "size")]
    set_style()
    labels = [
        f"{row['family']}{', ' + row['stage'] if row['stage'] not in ('', 'base') else ''}  "
        f"{row['benchmark']}  {called(row['condition'])}"
        for row in table.to_dict("records")
    ]
    figure, axis = plt.subplots(
        figsize=(WIDTH, (26 + 4.2 * len(labels)) * MM), layout="constrained"
    )
    sizes = sorted({c.params for f in tables.study.families for c in f.checkpoints})
    low, high = sizes[0] / 1.6, sizes[-1] * 1.6
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    for y, row in enumerate(table.to_dict("records")):
        color = look_of(row["condition"], tables.study.conditions)[0]
        first, last = _reach(tables, row)
        above, at_most = (pd.to_numeric(row[name]) for name in ("above", "at_most"))
        axis.hlines(y, low, high, color="0.9", linewidth=0.6, zorder=0)
        if not np.isnan(above):  # the correction is shown to be absent up to here
            axis.hlines(y, first, above, color="0.55", linewidth=1.2, linestyle=(0, (1, 1)))
            axis.plot(above, y, "|", color="0.35", markersize=6)
        if not np.isnan(at_most):  # the correction is shown from here on
            axis.hlines(y, at_most, last, color=color, linewidth=2.4)
            axis.plot(at_most, y, "|", color=color, markersize=7)
        axis.text(
            1.01, y, row["verdict"], transform=axis.get_yaxis_transform(), va="center", fontsize=6,
            fontweight="bold" if row["verdict"] == "emerges" else "normal",
        )  # fmt: skip
    axis.set_yticks(range(len(labels)), labels, fontsize=6)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    shown = sizes if len(sizes) <= 9 else sizes[:: -(-len(sizes) // 9)]
    axis.set_xticks(shown, [size(each) for each in shown])
    axis.minorticks_off()
    axis.set_xlabel(texts.PARAMETERS)
    remark = texts.EMERGENCE_REMARK
    add_legend(figure, [], tables.study.conditions, tables.notes(), 4, bars=remark)
    return figure


def _reach(tables: Tables, verdict: Mapping[Any, Any]) -> tuple[float, float]:
    """Return the smallest and the largest size that a verdict along size covers."""
    table = tables.effects
    for key in ("family", "stage", "benchmark"):
        table = table[table[key] == verdict[key]]
    return float(table["params"].min()), float(table["params"].max())
