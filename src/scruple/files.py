"""Atomic writing of files, and reading of the project's own JSON."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` when the block ends.

    If the block fails, the temporary file is removed and `path` stays as it was. A symbolic link is
    followed: its target is replaced, not the link. If `path` exists but is not a regular file (a
    terminal, a pipe), it is yielded itself and written to directly.

    Raises:
        ScrupleError: if the file cannot be written.
    """
    try:
        path = Path(path).resolve()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; give a file's name")
        if path.exists() and not path.is_file():
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # keep the suffix: writers choose the format by it
        part = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ScrupleError(f"{path}: cannot be written ({error.strerror or error}).") from None


def sweep(path: str | Path) -> None:
    """Remove temporary files that killed jobs left behind while writing `path`.

    Call it only if no other job can be writing the same file.
    """
    path = Path(path)
    for left in path.parent.glob(f".*.{path.name}"):
        left.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write plain data as indented JSON, atomically.

    Raises:
        ScrupleError: if the file cannot be written.
    """
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file that this project wrote.

    Raises:
        ScrupleError: if the file is missing or damaged; the message names the remedy.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ScrupleError(f"{path}: cannot be read ({error.strerror}); run again.") from None
    except ValueError as error:
        raise ScrupleError(
            f"{path}: is damaged, or was not written by this program ({error}); delete it and run "
            "again."
        ) from None
