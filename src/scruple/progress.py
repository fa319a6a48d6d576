"""Progress bars on the terminal and in logs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Progress = Callable[[int], Any]
"""Called with the number of requests that have just finished."""
Bar = Callable[[str, int], Progress]
"""Creates a progress bar from a title and a total, and returns the function that advances it."""


def bar(title: str, total: int, unit: str = "prompt") -> Progress:
    """Show a progress bar on stderr, and return the function that advances it.

    It is updated twice a second on a terminal, and every ten seconds elsewhere.

    Args:
        title: text in front of the bar.
        total: number of units; the bar closes once they are done.
        unit: name of a unit.
    """
    terminal = sys.stderr.isatty()
    columns = shutil.get_terminal_size((100, 24)).columns  # some terminals report 0 columns
    shown = tqdm(
        total=total,
        desc=title,
        unit=unit,
        file=sys.stderr,
        mininterval=0.5 if terminal else 10,
        ncols=columns or 100,
    )

    def advance(done: int) -> None:
        shown.update(done)
        if shown.n >= total:
            shown.close()

    return advance
