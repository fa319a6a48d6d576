"""Where a checkpoint's files are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scruple.errors import ScrupleError


@dataclass(frozen=True)
class Location:
    """The location of a checkpoint's files on this machine.

    Attributes:
        checkpoint: the checkpoint's name, for messages.
        folder: the folder that holds its files.
        gguf: the name of the GGUF file in the folder; None for files in the transformers format.
        code: whether the checkpoint's own Python code is run.
        copy: whether they are the dequantised copy of a GGUF file.
    """

    checkpoint: str
    folder: str
    gguf: str | None = None
    code: bool = False
    copy: bool = False


def folder_of(location: Location, record: str | None = None) -> str:
    """Return the folder of a fetched checkpoint.

    Args:
        location: the location of its files.
        record: the file of its manifest, for the message.

    Raises:
        ScrupleError: if the folder no longer exists.
    """
    if not Path(location.folder).is_dir():
        raise ScrupleError(
            f"{location.checkpoint}: {location.folder} is gone since it was fetched; delete "
            f"{record or 'its manifest'} and run again."
        )
    return location.folder
