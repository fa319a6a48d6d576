"""Progress bars."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Progress = Callable[[int], Any]
"""Called with the number of requests that were just finished."""
Bar = Callable[[str, int], Progress]
"""Makes a progress bar from a title and a total, and returns how to advance it."""


def bar(title: str, total: int, unit: str = "prompt") -> Progress:
    """Show a progress bar on the terminal, and return how to advance it."""
    terminal = sys.stderr.isatty()
    columns = shutil.get_terminal_size((100, 24)).columns  # some terminals claim to have none
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
