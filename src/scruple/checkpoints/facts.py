"""Facts about a checkpoint's files, by which a change is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from scruple.fetch.transfer import sha256


class Frozen(BaseModel):
    """A record that is read from JSON and not changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileFacts(Frozen):
    """The size and hash of a checkpoint's file."""

    bytes: int
    """The size in bytes."""
    sha256: str
    """The SHA-256 of the content."""


def changed_file(folder: Path, files: Mapping[str, FileFacts], hashed: int | None) -> Path | None:
    """Return the first file that is not what it was; None if all are.

    Args:
        folder: the folder with the files.
        files: name of each file → its size and hash.
        hashed: when hashing began, in nanoseconds since 1970. A file of the same size that was
            modified later is hashed again; with None, sizes alone are compared.
    """
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            return path
        state = path.stat()
        if state.st_size != known.bytes:
            return path
        if hashed is not None and state.st_mtime_ns > hashed and sha256(path) != known.sha256:
            return path
    return None
