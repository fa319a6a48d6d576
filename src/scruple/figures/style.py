"""The common style of all figures: width, fonts, and the colour and marker per condition."""

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
"""One millimetre in inches."""
_DPI, _LAYOUTS = 300, 3
"""Resolution of the files in dots per inch; number of layout passes before saving."""
WIDTH = 180 * MM
"""Width in inches of a figure that spans both columns of a page."""

# The colours of Okabe & Ito (2008), which remain distinguishable with any type of colour vision.
# Markers and dashes distinguish the conditions in greyscale.
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
    """Return a condition's colour, marker and line style; known conditions have fixed ones."""
    if condition in CONDITIONS:
        return CONDITIONS[condition]
    own = [name for name in conditions if name not in CONDITIONS]
    return _OTHERS[own.index(condition) % len(_OTHERS)]


def called(condition: str) -> str:
    """Return the label of a condition in figures, for example Q+IF+CoT."""
    words = {"q": "Q", "if": "IF", "cot": "CoT"}
    return "+".join(words.get(part, part.capitalize()) for part in condition.split("+"))


def size(params: float) -> str:
    """Format a number of parameters with a unit, for example 70M or 1.4B."""
    rounded = float(f"{params:.3g}")
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= scale:
            return f"{rounded / scale:.3g}{unit}"
    return f"{rounded:.0f}"


def set_style() -> None:
    """Set the fonts, font sizes and line widths for print."""
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
    """Save a figure in the formats of the file extensions, with reproducible bytes; close it."""
    # Every file needs the same number of layout passes, at the resolution at which it is saved.
    # Each pass starts from the text positions of the previous one and moves artists by at least a
    # rounding error.
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
