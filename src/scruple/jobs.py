"""What the workflow's scripts share: logs, progress bars, and errors without tracebacks."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scruple.engines import Progress
from scruple.errors import ScrupleError

log = logging.getLogger("scruple")


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run a script's body: log to the rule's log file and the terminal, end plainly on errors.

    A ScrupleError becomes its message and exit status 1; anything else is a fault of the program
    and keeps its traceback, which goes to the log file too. A SIGTERM, with which a cluster takes a
    job's place away, ends it in an orderly way: what is finished is written, and nothing is left.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if snakemake.log:
        handlers.append(logging.FileHandler(str(snakemake.log[0]), mode="w"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield log
    except ScrupleError as error:
        log.error("ERROR in %s: %s", snakemake.rule, error)
        sys.exit(1)
    except Exception:
        log.exception("unexpected failure in %s", snakemake.rule)
        sys.exit(1)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


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


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and move it there once the body is through.

    A link is followed, so that its target is replaced and not the link; what is no regular file
    (a terminal, a pipe) is written to as it is.

    Raises:
        ScrupleError: if the place cannot be written to.
    """
    try:
        path = Path(path).resolve()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; give a file's name")
        if path.exists() and not path.is_file():
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays last: writers choose their format by it
        part = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ScrupleError(f"{path}: cannot be written ({error.strerror or error}).") from None


def sweep(path: str | Path) -> None:
    """Remove what jobs that had no time to end left half-written of a file that is now ours."""
    path = Path(path)
    for left in path.parent.glob(f".*.{path.name}"):
        left.unlink(missing_ok=True)
