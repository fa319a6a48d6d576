"""The manifest of a checkpoint: the location, sizes and hashes of its files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from scruple.checkpoints.cache import cached_snapshot
from scruple.checkpoints.choice import check_code, describing_files, names_in, weight_files
from scruple.checkpoints.dequantised import (
    COPIES,
    Copy,
    check_place,
    dequantised,
    place_of_copy,
    quantisation,
)
from scruple.checkpoints.facts import FileFacts, Frozen
from scruple.checkpoints.gguf import check_gguf
from scruple.checkpoints.hub import download, look_up, place_of, remove_damaged
from scruple.checkpoints.local import files_in, gguf_folder
from scruple.checkpoints.location import Location
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Say, sha256
from scruple.files import read_json, write_json
from scruple.study.architecture import Shape, read_shape
from scruple.study.families import NOTHING_UNSAFE, Checkpoint, Hub, Writing
from scruple.study.model import resolve


class Manifest(Frozen):
    """A fetched checkpoint: where it came from, and the location and hashes of its files."""

    checkpoint: str
    """The checkpoint's name."""
    params: int
    """The number of parameters given in the config."""
    origin: str
    """Where the checkpoint came from, in words."""
    folder: str
    """The folder that holds its files."""
    gguf: str | None = None
    """The name of the GGUF file in the folder, if the checkpoint is one."""
    commit: str | None = None
    """The commit of the hub's repository, if the checkpoint came from the hub."""
    code: bool = False
    """Whether the checkpoint's own Python code is run."""
    shape: Shape | None = None
    """The dimensions of the architecture, if known."""
    files: dict[str, FileFacts]
    """Name of each file that is used → its size and hash."""
    manifest: str | None = None
    """The file that this manifest was written to."""
    hashed: int | None = None
    """When hashing began, in nanoseconds since 1970; files modified later are hashed again."""
    quantisation: str | None = None
    """How the weights of a GGUF file are quantised, for example Q4_K_M."""
    tensor_types: dict[str, int] | None = None
    """Type of the numbers in a GGUF file → how many of its tensors have it."""
    dequantised: Copy | None = None
    """The dequantised copy of a GGUF file, from which jobs load it."""
    date: str | None = None
    """The date that its chat template takes for today's."""

    @property
    def location(self) -> Location:
        """Return the location of the files that jobs load."""
        if self.dequantised is not None:
            return Location(self.checkpoint, self.dequantised.folder, copy=True)
        return Location(self.checkpoint, self.folder, self.gguf, self.code)

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Read a manifest from a file.

        Raises:
            ScrupleError: if the file is missing or damaged, with the remedy.
        """
        try:
            return cls.model_validate(read_json(path)).model_copy(update={"manifest": str(path)})
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise ScrupleError(
                f"{path}: is no manifest of a checkpoint (`{'.'.join(map(str, problem['loc']))}`: "
                f"{problem['msg']}); delete it and run again."
            ) from None

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise an error if this is the manifest of another checkpoint, or of an older config.

        A GGUF file needs its dequantised copy as well.

        Raises:
            ScrupleError: naming the manifest's file.
        """
        for key, found, wanted in (
            ("checkpoint", self.checkpoint, checkpoint.name),
            ("params", self.params, checkpoint.params),
        ):
            if found != wanted:
                raise ScrupleError(
                    f"{self.manifest or 'a manifest'}: its `{key}` is {found}, and the config says "
                    f"{wanted} for checkpoint {checkpoint.name}: delete it and run again."
                )
        copy = self.dequantised
        if self.gguf is not None and (copy is None or not Path(copy.folder).is_dir()):
            gone = "an earlier version wrote it" if copy is None else f"{copy.folder} is gone"
            raise ScrupleError(
                f"{self.manifest or 'a manifest'}: names no dequantised copy of {self.gguf} that "
                f"is here ({gone}): delete it and run again, to have one made."
            )

    def written_to(self, path: str | Path, hashed: int) -> Manifest:
        """Write the manifest to a file; return a copy with `manifest` and `hashed` set.

        Args:
            path: the file to write.
            hashed: when hashing began, in nanoseconds since 1970.

        Raises:
            ScrupleError: if the file cannot be written.
        """
        named = self.model_copy(update={"manifest": str(path), "hashed": hashed})
        write_json(path, named.model_dump(mode="json"))
        return named


def fetch_checkpoint(
    checkpoint: Checkpoint, say: Say, hub: Hub = NOTHING_UNSAFE, copies: Path = COPIES,
    writing: Writing | None = None,
) -> Manifest:  # fmt: skip
    """Download a checkpoint's files if necessary, hash them and return the manifest.

    A GGUF file is dequantised too, unless that has been done before.

    Args:
        checkpoint: the checkpoint's entry in the config.
        say: called with progress messages, for the log.
        hub: what may be used from the hub.
        copies: the folder of dequantised copies.
        writing: how turns are written for it, which is checked before anything large is fetched.

    Raises:
        ScrupleError: if the checkpoint is unavailable, incomplete, damaged or not allowed, cannot
            be dequantised, or has a chat template that cannot be used.
    """
    commit, code = None, False
    if checkpoint.hub is not None:
        folder, hashes = _from_hub(checkpoint, hub, say, copies, writing)
        commit = folder.name
        origin = f"hub {checkpoint.hub}@{checkpoint.revision or 'main'}"
    elif checkpoint.file is not None:
        folder = gguf_folder(checkpoint)
        origin = f"package {checkpoint.package}" if checkpoint.package else f"folder {folder}"
    else:
        folder = resolve(str(checkpoint.path))
        hashes = _hashes(folder, files_in(folder, checkpoint, hub), checkpoint, say)
        origin = f"folder {folder}"
    if checkpoint.file is not None:
        check_gguf(folder / checkpoint.file, checkpoint.name)
        if checkpoint.hub is None:
            hashes = _hashes(folder, [checkpoint.file], checkpoint, say)
    else:
        place = f"checkpoint {checkpoint.name}: {folder}"
        code = check_code(folder, checkpoint.hub or str(checkpoint.path), hub, place)
        # its own code runs in the jobs that ask, which read every tokenizer
        if not code and not (folder / "tokenizer.json").is_file():
            load_tokenizer(Location(f"checkpoint {checkpoint.name}", str(folder)))
    files = {
        name: FileFacts(bytes=(folder / name).stat().st_size, sha256=found)
        for name, found in hashes.items()
    }
    manifest = Manifest(
        checkpoint=checkpoint.name,
        params=checkpoint.params,
        origin=origin,
        folder=str(folder),
        gguf=checkpoint.file,
        commit=commit,
        date=writing.date if writing else None,
        code=code,
        shape=read_shape(folder / "config.json", checkpoint.params),
        files=files,
    )
    if checkpoint.file is None:
        return manifest
    copy = dequantised(checkpoint, folder, hashes[checkpoint.file], say, copies)
    kind, types = quantisation(folder / checkpoint.file)
    return manifest.model_copy(
        update={
            "shape": read_shape(Path(copy.folder) / "config.json", checkpoint.params),
            "quantisation": kind,
            "tensor_types": types,
            "dequantised": copy,
        }
    )


def _hashes(folder: Path, names: Iterable[str], checkpoint: Checkpoint, say: Say) -> dict[str, str]:
    names = list(names)
    say(f"{checkpoint.name}: hashing {len(names)} files in {folder}")
    return {name: sha256(folder / name) for name in names}


def _from_hub(
    checkpoint: Checkpoint, hub: Hub, say: Say, copies: Path, writing: Writing | None
) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint's folder and hashes; damaged files are downloaded again, once."""
    code, place = checkpoint.hub in hub.allow_code, place_of(checkpoint)
    folder, remote = cached_snapshot(checkpoint, hub), None
    for _ in range(2):
        if folder is None:
            remote = look_up(checkpoint, hub, say)
            say(f"{place}: commit {remote.commit}")
            if checkpoint.file is not None:
                sha = remote.files[checkpoint.file].sha256 or ""
                check_place(checkpoint, copies, place_of_copy(copies, sha).exists())
            folder = download(checkpoint, remote, hub, say, writing)
        else:
            say(f"{place}: found in the hub's cache, {folder}")
        if checkpoint.file is not None:
            names = [checkpoint.file]
        else:
            there = names_in(folder)
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
