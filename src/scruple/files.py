"""Files of the project: written whole or not at all, and read again."""

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


def write_json(path: str | Path, content: Any) -> None:
    """Write plain data as JSON, whole or not at all.

    Raises:
        ScrupleError: if the place cannot be written to.
    """
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file that the project wrote.

    Raises:
        ScrupleError: if it is missing or damaged, with the remedy.
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
