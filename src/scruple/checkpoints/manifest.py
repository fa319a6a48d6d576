"""The manifest of a checkpoint: where its files are, and what exactly they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from scruple.checkpoints.cache import cached_snapshot
from scruple.checkpoints.choice import check_code, describing_files, weight_files
from scruple.checkpoints.hub import download, look_up, place_of, remove_damaged
from scruple.checkpoints.local import files_in, in_package
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Say, sha256
from scruple.files import read_json, write_json
from scruple.study.architecture import Shape, read_shape
from scruple.study.families import NOTHING_UNSAFE, Checkpoint, Hub
from scruple.study.model import resolve


@dataclass(frozen=True)
class Location:
    """Where a checkpoint's files are on this machine.

    Attributes:
        checkpoint: its name, for messages.
        folder: where its files are.
        gguf: name of the GGUF file in the folder; None where there are files of transformers.
        code: whether Python code of its own is run.
    """

    checkpoint: str
    folder: str
    gguf: str | None = None
    code: bool = False


class _Frozen(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class FileFacts(_Frozen):
    """What a file of a checkpoint is."""

    bytes: int
    """Its size."""
    sha256: str
    """The SHA-256 of its content."""


class Manifest(_Frozen):
    """A fetched checkpoint: where its files are, and what exactly they are."""

    checkpoint: str
    """The checkpoint's name."""
    params: int
    """The number of parameters that the config gives."""
    origin: str
    """Where it came from, in words."""
    folder: str
    """The folder that holds its files."""
    gguf: str | None = None
    """The name of the GGUF file in the folder, if it is one."""
    commit: str | None = None
    """The commit of the hub's repository, if it came from the hub."""
    code: bool = False
    """Whether Python code of its own is run."""
    shape: Shape | None = None
    """The architecture's numbers, if they are known."""
    files: dict[str, FileFacts]
    """Name of each file that is used → its size and hash."""
    manifest: str | None = None
    """The file that this was written to."""
    hashed: int | None = None
    """When the files were hashed, in nanoseconds since 1970: what changed later is hashed again."""

    @property
    def location(self) -> Location:
        """Return where its files are."""
        return Location(self.checkpoint, self.folder, self.gguf, self.code)

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Read a manifest (ScrupleError if it is damaged, with the remedy)."""
        try:
            return cls.model_validate_json(json.dumps(read_json(path)))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise ScrupleError(
                f"{path}: is no manifest of a checkpoint (`{'.'.join(map(str, problem['loc']))}`: "
                f"{problem['msg']}); delete it and run again."
            ) from None

    def written_to(self, path: str | Path, hashed: int) -> Manifest:
        """Write it to a file; return it with the file's name.

        Args:
            path: the file.
            hashed: when hashing began, in nanoseconds since 1970.
        """
        named = self.model_copy(update={"manifest": str(path), "hashed": hashed})
        write_json(path, named.model_dump(mode="json"))
        return named


def fetch_checkpoint(checkpoint: Checkpoint, say: Say, hub: Hub = NOTHING_UNSAFE) -> Manifest:
    """Make a checkpoint's files local and describe them.

    Args:
        checkpoint: what the config says of it.
        say: called with what is done, for the log.
        hub: what may be taken.

    Raises:
        ScrupleError: if it cannot be had.
    """
    commit, gguf, code = None, None, False
    if checkpoint.hub is not None:
        folder, hashes = _from_hub(checkpoint, hub, say)
        commit = folder.name
        origin = f"hub {checkpoint.hub}@{checkpoint.revision or 'main'}"
        code = check_code(folder, checkpoint.hub, hub, place_of(checkpoint))
    elif checkpoint.path is not None:
        folder = resolve(checkpoint.path)
        hashes = _hashes(folder, files_in(folder, checkpoint, hub), checkpoint, say)
        origin = f"folder {folder}"
        code = check_code(folder, checkpoint.path, hub, f"checkpoint {checkpoint.name}: {folder}")
    else:
        folder, gguf = in_package(checkpoint)
        hashes = _hashes(folder, [gguf], checkpoint, say)
        origin = f"package {checkpoint.package}"
    files = {
        name: FileFacts(bytes=(folder / name).stat().st_size, sha256=found)
        for name, found in hashes.items()
    }
    return Manifest(
        checkpoint=checkpoint.name,
        params=checkpoint.params,
        origin=origin,
        folder=str(folder),
        gguf=gguf,
        commit=commit,
        code=code,
        shape=read_shape(folder / "config.json"),
        files=files,
    )


def _hashes(folder: Path, names: Iterable[str], checkpoint: Checkpoint, say: Say) -> dict[str, str]:
    names = list(names)
    say(f"{checkpoint.name}: hashing {len(names)} files in {folder}")
    return {name: sha256(folder / name) for name in names}


def _from_hub(checkpoint: Checkpoint, hub: Hub, say: Say) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint's folder and hashes; what is damaged there is fetched once more."""
    code, place = checkpoint.hub in hub.allow_code, place_of(checkpoint)
    folder, remote = cached_snapshot(checkpoint, hub), None
    for _ in range(2):
        if folder is None:
            remote = look_up(checkpoint, hub, say)
            say(f"{place}: commit {remote.commit}")
            folder = download(checkpoint, remote, hub, say)
        else:
            say(f"{place}: found in the hub's cache, {folder}")
        there = [path.name for path in folder.iterdir()]
        names = [*describing_files(there, code), *weight_files(there, hub, place)]
        hashes = _hashes(folder, names, checkpoint, say)
        damaged = remove_damaged(checkpoint, folder, hashes, remote, say)
        if not damaged:
            return folder, hashes
        folder = cached_snapshot(checkpoint, hub)
    raise ScrupleError(
        f"{place}: {', '.join(damaged)} in the hub's cache is not what the hub's hash says. Run "
        "again with a network to have it fetched anew, or copy the cache here again."
    )
