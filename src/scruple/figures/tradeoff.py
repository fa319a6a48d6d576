"""Capability and tokens against the bias removed, and heatmaps of effects over training."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from scruple import texts
from scruple.analysis.axes import axes_of
from scruple.figures.lines import add_legend
from scruple.figures.results import Tables
from scruple.figures.style import MM, WIDTH, called, look_of, set_style, size
from scruple.study.conditions import CONTROLS


def draw_tradeoff(tables: Tables) -> Figure:
    """Draw the change of capability against the bias removed, to tell correction from collapse."""
    rows = tables.primary_effects()
    pieces = []
    for entry in tables.study.benchmarks:
        margin = tables.study.margin(entry)
        if margin is None:
            continue
        mine = rows[rows["benchmark"] == entry.name]
        keep = margin.keeps[0]
        change = _beyond_q(tables.rows(entry.name, keep.metric, margin.subset), mine)
        name = keep.metric.replace("_expected", texts.WEIGHTED).replace("_", " ")
        label = texts.CAPABILITY_CHANGE.format(metric=name)
        pieces.append(mine.assign(other=change, limit=-keep.loss, label=label))
    return _scatter(tables, pieces, limit=True)


def draw_cost(tables: Tables) -> Figure:
    """Draw the extra tokens per answer compared with `q` against the bias removed."""
    rows = tables.primary_effects()
    pieces = []
    for entry in tables.study.benchmarks:
        subset = entry.traits.subset
        mine = rows[rows["benchmark"] == entry.name]
        more = _beyond_q(tables.rows(entry.name, "prompt_tokens", subset), mine)
        if len(mine):
            pieces.append(mine.assign(other=more, limit=np.nan, label=texts.TOKENS_BEYOND_Q))
    return _scatter(tables, pieces, limit=False)


def _beyond_q(values: pd.DataFrame, rows: pd.DataFrame) -> list[float]:
    """Return a metric under each row's condition minus the same metric under `q`."""
    here = values.set_index(["family", "checkpoint", "condition"])["value"]
    return [
        here.get((family, checkpoint, name), np.nan) - here.get((family, checkpoint, "q"), np.nan)
        for family, checkpoint, name in zip(
            rows["family"], rows["checkpoint"], rows["condition"], strict=True
        )
    ]


def _scatter(tables: Tables, pieces: list[pd.DataFrame], limit: bool) -> Figure:
    set_style()
    pieces = [piece for piece in pieces if len(piece)]
    figure, axes = plt.subplots(
        1, max(len(pieces), 1), figsize=(WIDTH, 62 * MM), squeeze=False, layout="constrained"
    )
    drawn: list[str] = []
    for axis, piece in zip(axes[0], pieces, strict=False):
        largest = piece["params"].max()
        for row in piece.to_dict("records"):
            color, marker, _ = look_of(row["condition"], tables.study.conditions)
            drawn.append(row["condition"])
            scale = 2 + 4 * (np.log(row["params"]) / np.log(largest)) ** 3
            axis.plot(row["effect"], row["other"], marker, color=color, markersize=scale, alpha=0.7,
                      markeredgewidth=0)  # fmt: skip
        axis.axvline(0, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)))
        if limit:
            edge = piece["limit"].iloc[0]
            low = min(axis.get_ylim()[0], 1.5 * edge)
            axis.set_ylim(bottom=low)
            axis.axhspan(low, edge, color="0.92", zorder=0, linewidth=0)
        else:
            axis.set_ylim(bottom=0)
        axis.set_title(piece["benchmark"].iloc[0])
        axis.set_xlabel(texts.BIAS_REMOVED)
        axis.set_ylabel(piece["label"].iloc[0])
    remark = texts.SCATTER_REMARK + (texts.SCATTER_SHADED if limit else "")
    add_legend(figure, drawn, tables.study.conditions, tables.notes(), 4, bars=remark)
    return figure


def draw_grid(tables: Tables) -> Figure:
    """Draw heatmaps of the effects over size and step or stage (original: figure 5)."""
    rows = tables.primary_effects()
    study = tables.study
    families = [
        family.name
        for family in study.families
        if any(axis.kind != "size" for axis in axes_of(family, study.axes))
    ]
    mine = rows[rows["family"].isin(families)]
    conditions = [c for c in tables.study.conditions if c in set(mine["condition"])]
    conditions = [c for c in conditions if c not in CONTROLS]
    kinds = list(dict.fromkeys(mine["benchmark"]))
    set_style()
    lines = [(family, condition) for family in families for condition in conditions]
    figure, axes = plt.subplots(
        max(len(lines), 1), max(len(kinds), 1), figsize=(WIDTH, (38 * len(lines) + 10) * MM),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for benchmark, column in zip(kinds, axes.T, strict=False):
        here = mine[(mine["benchmark"] == benchmark) & mine["condition"].isin(conditions)]
        reach = max(here["effect"].abs().max(), 2 * here["margin"].max())
        for (family, condition), axis in zip(lines, column, strict=False):
            cell = here[(here["family"] == family) & (here["condition"] == condition)]
            _heat(axis, cell, reach)
            axis.set(xlabel=texts.PARAMETERS, ylabel="", title=f"{benchmark}, {called(condition)}")
    for (family, _), axis in zip(lines, axes[:, 0], strict=False):
        axis.set_ylabel(family, fontweight="bold")
    remark = texts.GRID_REMARK
    add_legend(figure, [], tables.study.conditions, tables.notes(), 4, bars=remark)
    return figure


def _heat(axis: Axes, cell: pd.DataFrame, reach: float) -> None:
    """Draw a heatmap of a family's effects, with a column per size and a row per stage and step."""
    stages = list(dict.fromkeys(cell["stage"]))
    ordered = cell.assign(rank=cell["stage"].map(stages.index)).sort_values(["rank", "step"])
    where = [
        stage if np.isnan(step) else f"{stage} {step:g}"
        for stage, step in zip(ordered["stage"], ordered["step"], strict=True)
    ]
    grid = ordered.assign(where=where).pivot_table(
        index="where", columns="params", values="effect", sort=False
    )
    grid = grid.sort_index(axis=1).round(2) + 0.0  # adding 0.0 turns -0.0 into 0.0
    if grid.empty:
        axis.set_axis_off()
        return
    sns.heatmap(
        grid, ax=axis, cmap="vlag", norm=TwoSlopeNorm(0, -reach, reach), annot=True, fmt=".2f",
        annot_kws={"fontsize": 5}, cbar=False, linewidths=0.4,
        xticklabels=[size(float(each)) for each in grid.columns],
    )  # fmt: skip
    axis.invert_yaxis()
    axis.tick_params(axis="y", rotation=0)
