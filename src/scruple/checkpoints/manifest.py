"""The manifest of a checkpoint: where its files are, and what exactly they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scruple.checkpoints.cache import cached_snapshot
from scruple.checkpoints.choice import check_code, describing_files, weight_files
from scruple.checkpoints.hub import download, look_up, place_of, remove_damaged
from scruple.checkpoints.local import files_in, in_package
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Say, sha256
from scruple.study.architecture import read_shape
from scruple.study.families import NOTHING_UNSAFE, Checkpoint, Hub
from scruple.study.model import resolve


def fetch_checkpoint(checkpoint: Checkpoint, say: Say, hub: Hub = NOTHING_UNSAFE) -> dict[str, Any]:
    """Make a checkpoint's files local and describe them.

    Args:
        checkpoint: what the config says of it.
        say: called with what is done, for the log.
        hub: what may be taken.

    Returns:
        checkpoint, params, origin, folder, gguf (a file's name, or None), commit (of the hub,
        or None), code (whether its own code is run), shape (its architecture's numbers, None if
        unknown) and files: name → size in bytes and sha256.

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
    shape = read_shape(folder / "config.json")
    return {
        "checkpoint": checkpoint.name,
        "params": checkpoint.params,
        "origin": origin,
        "folder": str(folder),
        "gguf": gguf,
        "commit": commit,
        "code": code,
        "shape": shape.model_dump() if shape else None,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": found}
            for name, found in hashes.items()
        },
    }


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
