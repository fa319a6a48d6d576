"""Line plots along an axis, with one colour per condition; most figures consist of them."""

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
"""Width over which the points of one place are spread, relative to the mean distance of places."""


@dataclass(frozen=True)
class Panel:
    """A metric, drawn in one panel per line.

    Attributes:
        title: title of the panel.
        table: columns `line` (the row of panels), `place` (x), `condition`, `value`, `ci_low` and
            `ci_high`. Several rows with the same place and condition are training runs.
        parity: the value at which there is no bias; None if the metric has no such value.
        level: a value to mark with a line, such as chance; None for no line.
        marks: published values.
        limits: limits of the y axis; None to fit the values.
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
    """Draw the panels once per line; the panels of one metric share their y limits.

    Args:
        panels: the metrics. More than four wrap onto further rows.
        lines: what the rows show, such as families.
        conditions: the study's conditions, in the order of the legend.
        notes: family → remark about it.
        labels: tick labels of the places 0, 1, …; None if places are numbers of parameters.
        x: label of the x axis.
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
    """Add the legend below a figure, with the remarks about its families."""
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
    """Draw a figure that states that nothing was measured, with the remarks about the families."""
    set_style()
    figure, axis = plt.subplots(figsize=(WIDTH, 40 * MM), layout="constrained")
    axis.set_axis_off()
    axis.text(0.5, 0.5, texts.NOT_MEASURED, ha="center")
    add_legend(figure, [], [], notes, _COLUMNS, bars="")
    return figure


def _notes(notes: Mapping[str, str]) -> list[str]:
    """Return one line per distinct note, starting with the families that it applies to."""
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
        else:  # training runs of one recipe
            axis.plot(each, mine["value"], ".", color=color, markersize=2, alpha=0.7)
    draw_marks(axis, panel.marks, conditions)


Spread = Callable[[pd.Series, float], pd.Series]
"""Maps places, and a shift from −½ to ½ within a place, to x coordinates."""


def _spread_of(axis: Axes, table: pd.DataFrame, labels: Sequence[str] | None) -> Spread:
    """Set up the x axis; return the function that separates the conditions of one place."""
    if labels is not None:
        axis.set_xlim(-0.5, len(labels) - 0.5)
        axis.set_xticks(range(len(labels)), labels, rotation=60 if len(labels) > 4 else 0)
        return lambda places, shift: places + _SPREAD * shift
    low, high = table["place"].min(), table["place"].max()
    if low == high:
        low, high = low / 2, high * 2
    gap = (high / low) ** (1 / max(table["place"].nunique(), 2))  # mean ratio of neighbouring sizes
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
    """Set ticks at up to 8 sizes, labelled where there is room; else at powers of ten."""
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
