"""Panels of lines along an axis, one colour per condition: what most figures are made of."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from scruple import texts
from scruple.figures.published import Mark, draw_marks
from scruple.figures.style import MM, WIDTH, called, look_of, set_style, size

_COLUMNS = 4
_SPREAD = 0.6
"""Share of the mean distance between places over which the points of one place are spread."""


@dataclass(frozen=True)
class Panel:
    """One metric.

    Attributes:
        title: of the panel.
        table: `line` (the row of panels it belongs to), `place` (x), `condition`, `value`,
            `ci_low`, `ci_high`; several rows of a place are training runs.
        parity: where there is no bias; None where that means nothing.
        level: a value to mark, such as chance.
        marks: published values.
        limits: of the y axis; None for what the values need.
    """

    title: str
    table: pd.DataFrame
    parity: float | None = 0.0
    level: float | None = None
    marks: Sequence[Mark] = ()
    limits: tuple[float, float] | None = None


def draw_lines(
    panels: Sequence[Panel],
    lines: Sequence[str],
    conditions: Sequence[str],
    notes: Mapping[str, str],
    labels: Sequence[str] | None = None,
    x: str = texts.PARAMETERS,
) -> Figure:
    """Draw a row of panels per line; panels of one metric share their y axis.

    Args:
        panels: the metrics.
        lines: the rows, such as families.
        conditions: the study's conditions, in the order of the legend.
        notes: family → what must be said of it.
        labels: of the places 0, 1, …; None where places are numbers of parameters.
        x: what the x axis shows.
    """
    set_style()
    columns = min(len(panels), _COLUMNS)
    per_line = -(-len(panels) // columns)
    rows = per_line * len(lines)
    width = WIDTH if columns > 1 else WIDTH * 0.5
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, (48 * rows + 16) * MM), squeeze=False, layout="constrained"
    )
    drawn: list[str] = []
    for number, panel in enumerate(panels):
        shown = [name for name in conditions if name in set(panel.table["condition"])]
        drawn += [name for name in shown if name not in drawn]
        column = []
        for place, line in enumerate(lines):
            axis = axes[place * per_line + number // columns, number % columns]
            column.append(axis)
            mine = panel.table[panel.table["line"] == line]
            _panel(axis, panel, mine, shown, conditions, labels)
            axis.set_xlabel(x)
            if place == 0 or per_line > 1:
                axis.set_title(panel.title)
            if number % columns == 0:
                axis.set_ylabel(line, fontweight="bold")
            last = number % columns == columns - 1 or number == len(panels) - 1
            if last and panel.parity is not None:
                _mark_parity(axis, panel.parity)
        _share_y(column, panel.limits)
    for axis in axes.reshape(len(lines), -1)[:, len(panels) :].flat:
        axis.remove()
    marked = any(panel.marks for panel in panels)
    add_legend(figure, drawn, conditions, notes, columns, marked)
    return figure


def add_legend(
    figure: Figure,
    drawn: Sequence[str],
    conditions: Sequence[str],
    notes: Mapping[str, str],
    columns: int,
    marked: bool = False,
    bars: str = texts.BARS,
) -> None:
    """Put the legend below a figure, with what must be said of its families."""
    handles = [_handle(name, conditions) for name in conditions if name in drawn]
    remarks = [bars] if bars else []
    if marked:
        remarks.append(texts.PUBLISHED)
    figure.legend(
        handles=handles, loc="outside lower center", frameon=False,
        ncols=len(handles) if columns > 1 else 3, title_fontsize=6,
        title="\n".join(
            textwrap.fill(line, 120 if columns > 1 else 56) for line in (*remarks, *_notes(notes))
        ),
    )  # fmt: skip


def not_measured(notes: Mapping[str, str]) -> Figure:
    """Draw that there is nothing to draw, with what must be said of the families."""
    set_style()
    figure, axis = plt.subplots(figsize=(WIDTH, 40 * MM), layout="constrained")
    axis.set_axis_off()
    axis.text(0.5, 0.5, texts.NOT_MEASURED, ha="center")
    add_legend(figure, [], [], notes, _COLUMNS, bars="")
    return figure


def _notes(notes: Mapping[str, str]) -> list[str]:
    """Return one line per distinct note, with the families that it is about."""
    return [
        f"{', '.join(name for name in notes if notes[name] == note)}: {note}"
        for note in dict.fromkeys(notes.values())
    ]


def _share_y(column: Sequence[Axes], limits: tuple[float, float] | None) -> None:
    needed = [axis.get_ylim() for axis in column]
    shared = (min(low for low, _ in needed), max(high for _, high in needed))
    for axis in column:
        axis.set_ylim(limits or shared)


def _panel(
    axis: Axes,
    panel: Panel,
    table: pd.DataFrame,
    shown: Sequence[str],
    conditions: Sequence[str],
    labels: Sequence[str] | None,
) -> None:
    for level in (panel.parity, panel.level):
        if level is not None:
            axis.axhline(level, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    if table["value"].notna().sum() == 0:
        axis.text(0.5, 0.6, texts.NOT_MEASURED, transform=axis.transAxes, ha="center")
        axis.set_xticks([])
        return
    spread = _spread_of(axis, table, labels)
    for place, condition in enumerate(shown):
        color, marker, dashes = look_of(condition, conditions)
        mine = table[table["condition"] == condition]
        if mine.empty:
            continue
        shift = (place + 0.5) / len(shown) - 0.5
        points = mine.groupby("place", sort=True)["value"].mean()
        x = spread(points.index.to_series(), shift)
        axis.plot(
            x, points.to_numpy(), color=color, marker=marker, linestyle=dashes, linewidth=1,
            markersize=3, markeredgewidth=0.8,
        )  # fmt: skip
        each = spread(mine["place"], shift)
        if mine["place"].is_unique:
            axis.vlines(
                each, mine["ci_low"], mine["ci_high"], color=color, linewidth=0.9, alpha=0.7
            )
        else:  # training runs of a recipe
            axis.plot(each, mine["value"], ".", color=color, markersize=2, alpha=0.7)
    draw_marks(axis, panel.marks, conditions)


Spread = Callable[[pd.Series, float], pd.Series]
"""Maps places and a shift from −½ to ½ to x."""


def _spread_of(axis: Axes, table: pd.DataFrame, labels: Sequence[str] | None) -> Spread:
    """Set an axis up; return the function that puts conditions of a place beside each other."""
    if labels is not None:
        axis.set_xlim(-0.5, len(labels) - 0.5)
        axis.set_xticks(range(len(labels)), labels, rotation=60 if len(labels) > 4 else 0)
        return lambda places, shift: places + _SPREAD * shift
    low, high = table["place"].min(), table["place"].max()
    if low == high:
        low, high = low / 2, high * 2
    gap = (high / low) ** (1 / max(table["place"].nunique(), 2))  # mean ratio of neighbours
    axis.set_xscale("log")
    axis.set_xlim(low / gap**_SPREAD, high * gap**_SPREAD)
    _ticks(axis, sorted(table["place"].unique()))
    return lambda places, shift: places * gap ** (_SPREAD * shift)


def _mark_parity(axis: Axes, level: float) -> None:
    axis.annotate(
        texts.PARITY, (1, level), xycoords=axis.get_yaxis_transform(), xytext=(2, 0), va="center",
        textcoords="offset points", fontsize=5.5, color="0.4", annotation_clip=False,
    )  # fmt: skip


def _ticks(axis: Axes, sizes: Sequence[float]) -> None:
    """Mark the sizes where they are few, and label those that are apart; else powers of ten."""
    if len(sizes) <= 8:
        turn = 60 if len(sizes) > 4 else 0
        reach = math.log(sizes[-1] / sizes[0]) or 1.0
        labels, last = [], -math.inf
        for each in sizes:
            free = math.log(each) - last > 0.08 * reach
            labels.append(size(each) if free else "")
            last = math.log(each) if free else last
        axis.set_xticks(
            sizes, labels, rotation=turn, rotation_mode="anchor", ha="right" if turn else "center"
        )
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", which="minor", bottom=False)
    else:
        axis.xaxis.set_major_locator(LogLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))


def _handle(condition: str, conditions: Sequence[str]) -> Line2D:
    color, marker, dashes = look_of(condition, conditions)
    return Line2D(
        [], [], color=color, marker=marker, linestyle=dashes, label=called(condition), markersize=4
    )
