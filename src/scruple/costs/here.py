"""What this machine has: memory of its GPUs, or its own; cheap to ask, without PyTorch."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

import psutil

from scruple.costs.need import BYTES, OVERHEAD
from scruple.errors import ScrupleError
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
        return sum(gpus), "the GPU here has" if len(
            gpus
        ) == 1 else f"the {len(gpus)} GPUs here have"
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
        ScrupleError: naming them, with all sizes and the largest one that fits.
    """
    memory, whose = memory_here(study.compute.device)
    size = BYTES[dtype_here(study)] * OVERHEAD
    asked = [study.checkpoint(family, name) for family, name in members]
    large = [checkpoint for checkpoint in asked if checkpoint.params * size > memory]
    if not large:
        return
    names = ", ".join(f"{one.name} ({one.params * size / 1e9:.1f} GB)" for one in large)
    fitting = [one.params for one in asked if one not in large]
    remedy = f"set `max_params: {max(fitting)}`" if fitting else "take smaller checkpoints"
    raise ScrupleError(
        f"{names}: more memory than there is for their weights in {dtype_here(study)}, since "
        f"{whose} {memory / 1e9:.1f} GB. To leave them out, {remedy}; else run where larger or "
        "more GPUs are, or with a smaller `compute.dtype`."
    )
