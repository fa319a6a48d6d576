"""GGUF files dequantised once: a copy of the checkpoint that every job loads in seconds.

The copy lies in results/dequantised, in a folder named after the GGUF file's hash and the version
of transformers, so all studies of a working directory share it. It has the weights as float32, the
config and the tokenizer, and gives the logits that the GGUF file gives.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
from pydantic import ValidationError

from scruple.checkpoints.cache import told_bytes
from scruple.checkpoints.conversion import convert
from scruple.checkpoints.facts import FileFacts, Frozen, changed_file
from scruple.checkpoints.gguf import gguf_header
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Say, alone, sha256
from scruple.files import read_json, write_json
from scruple.machine.memory import weight_bytes
from scruple.study.families import Checkpoint

COPIES = Path("results/dequantised")
"""The folder of all copies, in the working directory."""
_LIST = "copy.json"
"""The file in a copy that lists the others; written last."""
_MEMORY = 2.3
"""Ratio of the memory that dequantising takes to the size of the float32 weights (measured in
bench/README.md): transformers holds the tensors of the file and those of the model."""
_REST = 100_000_000
"""Bytes of disk for tokenizer and config."""


class Copy(Frozen):
    """A dequantised copy of a GGUF file."""

    folder: str
    """The folder that holds it."""
    files: dict[str, FileFacts]
    """Name of each file → its size and hash."""
    hashed: int
    """When hashing began, in nanoseconds since 1970; files modified later are hashed again."""


def quantisation(path: Path) -> tuple[str, dict[str, int]]:
    """Return how a GGUF file is quantised: its type in words, and type → number of tensors.

    The type is the one that the file states (`general.file_type`), for example `Q4_K_M`, else that
    of most tensors that are matrices.
    """
    from gguf import GGMLQuantizationType, LlamaFileType

    header = gguf_header(path)
    names = {kind.value: kind.name for kind in GGMLQuantizationType}
    types = {name: names.get(one.type, str(one.type)) for name, one in header.tensors.items()}
    counts = Counter(types.values())
    matrices = Counter(types[name] for name, one in header.tensors.items() if one.dimensions[1:])
    stated = {kind.value: kind.name for kind in LlamaFileType}.get(
        header.metadata.get("general.file_type", LlamaFileType.GUESSED), LlamaFileType.GUESSED.name
    )
    usual = (matrices or counts).most_common(1)[0][0]
    found = usual if stated == LlamaFileType.GUESSED.name else stated.split("_", 1)[1]
    return found, dict(sorted(counts.items()))


def check_place(checkpoint: Checkpoint, copies: Path, there: bool = False) -> None:
    """Raise an error if dequantising a checkpoint needs more disk or memory than there is.

    Args:
        checkpoint: the checkpoint, with its number of parameters.
        copies: the folder of all copies; it need not exist yet.
        there: whether a copy exists already, which will be replaced.

    Raises:
        ScrupleError: with the needed and the available bytes.
    """
    weights = weight_bytes(checkpoint.params, "float32")
    place = f"checkpoint {checkpoint.name}: {checkpoint.file} is dequantised to float32"
    folder = copies.absolute()
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    if weights + _REST > free and not there:
        raise ScrupleError(
            f"{place}, which needs {told_bytes(weights + _REST)} of disk, and {told_bytes(free)} "
            f"are free where {copies} is. Make room, delete copies there that are not needed any "
            "more, or leave the checkpoint out (`max_params`)."
        )
    memory = psutil.virtual_memory().total
    if _MEMORY * weights > memory:
        raise ScrupleError(
            f"{place}, which takes {told_bytes(_MEMORY * weights)} of memory, and this machine has "
            f"{told_bytes(memory)}. Fetch it on a larger one (`--until fetch_checkpoint`), or "
            "leave it out (`max_params`)."
        )


def place_of_copy(copies: Path, found: str) -> Path:
    """Return the folder of a GGUF file's copy; `found` is the SHA-256 of the file."""
    return copies / f"{found[:16]}-transformers-{version('transformers')}"


def dequantised(
    checkpoint: Checkpoint, folder: Path, found: str, say: Say, copies: Path = COPIES
) -> Copy:
    """Return a checkpoint's dequantised copy, and make it if it is missing or damaged.

    If another process makes a copy, this one waits for it. A copy is made under another name and
    renamed when it is complete, so a killed process leaves nothing that counts.

    Args:
        checkpoint: the checkpoint; `file` names the GGUF file.
        folder: the folder of the GGUF file.
        found: SHA-256 of the GGUF file.
        say: called with progress messages, for the log.
        copies: the folder of all copies.

    Raises:
        ScrupleError: if transformers cannot read the file, or the copy cannot be written, or does
            not give what the file gives.
    """
    assert checkpoint.file is not None
    target = place_of_copy(copies, found)
    name = checkpoint.name
    with _written(name, copies):
        copies.mkdir(parents=True, exist_ok=True)
        with alone(copies / ".lock", f"{name}: dequantising", say):
            for left in copies.glob(".part-*"):  # of killed processes
                shutil.rmtree(left, ignore_errors=True)
            copy = _whole(target, name, say)
            if copy is not None:
                say(f"{name}: dequantised already, {target}")
                return copy
            check_place(checkpoint, copies, target.exists())
            shutil.rmtree(target, ignore_errors=True)
            part, start = copies / f".part-{target.name}", time.monotonic()
            say(f"{name}: dequantising {checkpoint.file} into {target}, once for all studies here")
            try:
                convert(name, folder, checkpoint.file, part)
                _list(part)
                os.replace(part, target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            say(f"{name}: dequantised in {time.monotonic() - start:.0f} s")
            copy = _whole(target, name, say)
            assert copy is not None
            return copy


@contextlib.contextmanager
def _written(name: str, copies: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScrupleError(
            f"checkpoint {name}: its dequantised copy cannot be written into {copies} "
            f"({error.strerror or error}); make room or change the folder's permissions."
        ) from None


def _whole(target: Path, name: str, say: Say) -> Copy | None:
    """Return the copy in a folder; None if there is none, or it is damaged."""
    if not target.is_dir():
        return None
    try:
        copy = Copy.model_validate({**read_json(target / _LIST), "folder": str(target)})
        wrong = changed_file(target, copy.files, copy.hashed)
    except (ScrupleError, ValidationError, TypeError):
        wrong = target / _LIST
    if wrong is None:
        return copy
    say(f"{name}: {wrong} is damaged or missing; dequantising again")
    return None


def _list(folder: Path) -> None:
    """Write the list of a copy's files, readable for all who may read the folder."""
    hashed = time.time_ns()
    mask = os.umask(0)
    os.umask(mask)
    files = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o666 & ~mask)  # safetensors writes files that only their owner may read
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_json(folder / _LIST, {"files": files, "hashed": hashed})
