"""What this machine has: memory of its GPUs, or its own; cheap to ask, without PyTorch."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

import psutil

from scruple.costs.need import BYTES, check_room
from scruple.study import Study

_MIB = 1024 * 1024


def gpus_here() -> list[int]:
    """Return the memory of each GPU that jobs may use, in bytes; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        found = [int(line) * _MIB for line in done.stdout.split()]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else found[: len([part for part in visible.split(",") if part])]


def memory_here(device: str) -> tuple[int, str]:
    """Return the bytes that weights have, and how a message begins to say whose they are.

    Args:
        device: as the config says: `auto`, `cpu` or `cuda`.
    """
    gpus = gpus_here() if device != "cpu" else []
    if gpus:
        return sum(gpus), f"the {len(gpus)} GPUs here have"
    whose = "this machine has" if device == "cpu" else "this machine has no GPU and"
    return psutil.virtual_memory().total, whose


def dtype_here(study: Study) -> str:
    """Return the number format that weights would have here."""
    if study.compute.dtype != "auto":
        return study.compute.dtype
    return "bfloat16" if study.compute.device != "cpu" and gpus_here() else "float32"


def check_memory_here(study: Study, members: Iterable[tuple[str, str]]) -> None:
    """Refuse checkpoints that this machine cannot hold.

    Args:
        study: the study.
        members: (family, checkpoint) of those that are to be asked here.

    Raises:
        ScrupleError: naming the first of them, with both sizes.
    """
    memory, whose = memory_here(study.compute.device)
    size = BYTES[dtype_here(study)]
    for family, name in members:
        check_room(
            f"checkpoint {name}", study.checkpoint(family, name).params * size, memory, whose
        )
