"""What all figures share: size, type, and the colour and marker of each condition."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from scruple.files import whole

mpl.use("Agg")

MM = 1 / 25.4
"""Inches in a millimetre."""
_DPI, _LAYOUTS = 300, 3
"""Dots per inch of the files; how often a figure is laid out before it is saved."""
WIDTH = 180 * MM
"""Width of a figure over both columns of a page, in inches."""

# Colours of Okabe & Ito (2008), told apart by people with any colour vision; the markers and
# dashes tell the conditions apart in grey.
CONDITIONS: dict[str, tuple[str, str, Any]] = {
    "q": ("#000000", "o", "-"),
    "q+if": ("#0072B2", "s", "-"),
    "q+if+cot": ("#D55E00", "^", "-"),
    "q+match": ("#009E73", "D", "-"),
    "q+placebo": ("#999999", "v", ":"),
    "q+cot": ("#CC79A7", "P", ":"),
    "q+follow": ("#E69F00", "X", ":"),
}
_OTHERS = (("#56B4E9", "p", "-."), ("#F0E442", "h", "-."), ("#555555", "<", "-."))


def look_of(condition: str, conditions: Iterable[str]) -> tuple[str, str, Any]:
    """Return colour, marker and dashes of a condition: always the same for the known ones."""
    if condition in CONDITIONS:
        return CONDITIONS[condition]
    own = [name for name in conditions if name not in CONDITIONS]
    return _OTHERS[own.index(condition) % len(_OTHERS)]


def called(condition: str) -> str:
    """Return how figures write a condition: Q+IF+CoT."""
    words = {"q": "Q", "if": "IF", "cot": "CoT"}
    return "+".join(words.get(part, part.capitalize()) for part in condition.split("+"))


def size(params: float) -> str:
    """Write a number of parameters shortly: 70M, 1.4B."""
    rounded = float(f"{params:.3g}")
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= scale:
            return f"{rounded / scale:.3g}{unit}"
    return f"{rounded:.0f}"


def set_style() -> None:
    """Set fonts, sizes and line widths for print."""
    sns.set_theme(
        context="paper",
        style="ticks",
        font="DejaVu Sans",
        rc={
            "font.size": 7,
            "axes.titlesize": 8,
            "axes.labelsize": 7,
            "xtick.labelsize": 6,
            "ytick.labelsize": 6,
            "legend.fontsize": 7,
            "axes.linewidth": 0.6,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "pdf.fonttype": 42,
            "svg.fonttype": "path",
            "svg.hashsalt": "scruple",
        },
    )


def save(figure: Figure, paths: Iterable[str]) -> None:
    """Write a figure to files of the kinds that their names say, the same bytes every time."""
    # laid out as often for every file, and at the size at which it is saved: each layout goes by
    # the texts' places in the one before, and moves things by a rounding error at least
    figure.set_dpi(_DPI)
    for _ in range(_LAYOUTS):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for path in paths:
        kind = Path(path).suffix[1:]
        metadata: dict[str, Any] = {
            "png": {"Software": None},
            "svg": {"Date": None},
            "pdf": {"CreationDate": None},
        }[kind]
        with whole(path) as part:
            figure.savefig(part, dpi=_DPI, metadata=metadata)
    plt.close(figure)
