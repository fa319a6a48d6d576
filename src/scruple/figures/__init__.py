"""The figures: the catalogue, and one function per figure that draws it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scruple.figures.catalogue import CATALOGUE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scruple.figures.results import Tables


def draw(name: str, tables: Tables) -> Figure:
    """Draw a figure of the catalogue (KeyError if the name is unknown)."""
    entry = {entry.name: entry for entry in CATALOGUE}[name]
    module = importlib.import_module(f"scruple.figures.{entry.module}")
    figure: Figure = getattr(module, f"draw_{name}")(tables)
    return figure
