"""The scaling figure: each benchmark's metric against the number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from scruple.figures.style import MM, WIDTH, look_of, set_style

PANELS = {
    "bbq": (("bias_ambiguous", "BBQ: bias in\nambiguous contexts"),),
    "winogender": (
        ("rho", "Winogender: correlation\nof p(female) and share"),
        ("slope", "Winogender: slope\nof p(female) on share"),
    ),
    "admissions": (("admission_gap", "Admissions: p(yes | Black)\n− p(yes | white)"),),
}
"""Per kind of benchmark: the metrics drawn, and how their axes are called."""

_COLUMNS = 4
_SPREAD = 0.6
"""Share of the mean distance between sizes over which the points of one size are spread."""


def draw_scaling(
    metrics: pd.DataFrame,
    kinds: Mapping[str, str],
    conditions: Sequence[str],
    wording: str,
    scoring: Mapping[str, str],
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a row of panels per family and stage: one panel per metric, one line per condition.

    Panels of the same metric share their y axis. Of checkpoints that differ in their step alone,
    the last is drawn.

    Args:
        metrics: the metrics table, as `read_metrics` gives it.
        kinds: benchmark → kind, in the order of the panels.
        conditions: the study's conditions, in the order of the legend.
        wording: the wording drawn where a condition has several.
        scoring: family → the scoring drawn where a benchmark has several.
        notes: family → what must be said of it.
    """
    set_style()
    panels = [(name, *panel) for name, kind in kinds.items() for panel in PANELS[kind]]
    columns = min(len(panels), _COLUMNS)
    lines = list(metrics[["family", "stage"]].drop_duplicates().itertuples(index=False, name=None))
    per_line = -(-len(panels) // columns)
    rows = per_line * len(lines)
    width = WIDTH if columns > 1 else WIDTH * 0.5
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, (48 * rows + 16) * MM), squeeze=False, layout="constrained"
    )
    drawn: list[str] = []
    for number, (benchmark, metric, label) in enumerate(panels):
        table = _chosen(metrics, benchmark, metric, wording, scoring)
        shown = [name for name in conditions if name in set(table["condition"])]
        drawn += [name for name in shown if name not in drawn]
        column = []
        for place, (family, stage) in enumerate(lines):
            axis = axes[place * per_line + number // columns, number % columns]
            column.append(axis)
            mine = table[(table["family"] == family) & (table["stage"] == stage)]
            _panel(axis, mine, shown, conditions)
            if place == 0 or per_line > 1:
                several = list(kinds.values()).count(kinds[benchmark]) > 1
                axis.set_title(f"{label}\n({benchmark})" if several else label)
            if number % columns == 0:
                name = family if stage == "base" else f"{family}, {stage}"
                axis.set_ylabel(name, fontweight="bold")
            if number % columns == columns - 1 or number == len(panels) - 1:
                _mark_parity(axis)
        _share_y(column)
    for axis in axes.reshape(len(lines), -1)[:, len(panels) :].flat:
        axis.remove()
    handles = [_handle(name, conditions) for name in conditions if name in drawn]
    remarks = ["bars: 95 % intervals over items", *_notes(notes or {})]
    figure.legend(
        handles=handles, loc="outside lower center", frameon=False,
        ncols=len(handles) if columns > 1 else 4, title="\n".join(remarks), title_fontsize=6,
    )  # fmt: skip
    return figure


def _notes(notes: Mapping[str, str]) -> list[str]:
    """Return one line per distinct note, with the families that it is about."""
    return [
        f"{', '.join(name for name in notes if notes[name] == note)}: {note}"
        for note in dict.fromkeys(notes.values())
    ]


def _share_y(column: Sequence[Axes]) -> None:
    limits = [axis.get_ylim() for axis in column]
    for axis in column:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


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
    axis: Axes, table: pd.DataFrame, shown: Sequence[str], conditions: Sequence[str]
) -> None:
    axis.axhline(0, color="0.5", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
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
    for place, condition in enumerate(shown):
        color, marker, dashes = look_of(condition, conditions)
        shift = gap ** (_SPREAD * ((place + 0.5) / len(shown) - 0.5))
        points = table[table["condition"] == condition].sort_values("params")
        x = points["params"] * shift
        axis.plot(
            x, points["value"], color=color, marker=marker, linestyle=dashes, linewidth=1,
            markersize=3, markeredgewidth=0.8,
        )  # fmt: skip
        axis.vlines(x, points["ci_low"], points["ci_high"], color=color, linewidth=0.9, alpha=0.7)
    _ticks(axis, sorted(table["params"].unique()))


def _mark_parity(axis: Axes) -> None:
    axis.annotate(
        "parity", (1, 0), xycoords=axis.get_yaxis_transform(), xytext=(2, 0), va="center",
        textcoords="offset points", fontsize=5.5, color="0.4", annotation_clip=False,
    )  # fmt: skip


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
