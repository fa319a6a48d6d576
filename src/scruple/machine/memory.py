"""What this machine has: memory of its GPUs, or its own; cheap to ask, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from scruple.errors import ScrupleError
from scruple.machine.gpus import visible_gpus
from scruple.study.model import Study

_OVERHEAD = 1.15
"""Memory in use, to that of the weights: buffers, activations, fragments."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def weight_bytes(params: int, dtype: str) -> int:
    """Return the bytes of weights.

    Args:
        params: their number.
        dtype: float32, bfloat16 or float16.
    """
    return params * BYTES[dtype]


def in_use(weights: float) -> float:
    """Return the memory that weights take while they are in use, in the unit of the argument."""
    return weights * _OVERHEAD


def gpus_here() -> list[int]:
    """Return the memory of each GPU that jobs may use, in bytes; 0 where no driver tells."""
    return [gpu.memory for gpu in visible_gpus()]


def memory_here(device: str) -> tuple[int, str]:
    """Return the bytes that weights have, and how a message begins to say whose they are.

    Args:
        device: as the config says: `auto`, `cpu` or `cuda`.
    """
    gpus = gpus_here() if device != "cpu" else []
    if gpus and all(gpus):
        whose = "the GPU here has" if len(gpus) == 1 else f"the {len(gpus)} GPUs here have"
        return sum(gpus), whose
    whose = "this machine has" if device == "cpu" or gpus else "this machine has no GPU and"
    return psutil.virtual_memory().total, whose


def dtype_here(study: Study) -> str:
    """Return the number format that weights would have here."""
    return study.compute.dtype_on(gpu=study.compute.device != "cpu" and bool(gpus_here()))


def too_large(study: Study, members: Iterable[tuple[str, str]]) -> tuple[dict[str, float], str]:
    """Return which checkpoints this machine cannot hold, and what to set to leave them out.

    Args:
        study: the study.
        members: (family, checkpoint) of those that are meant.

    Returns:
        Their names → bytes of memory that they need, and the remedy.
    """
    memory, _ = memory_here(study.compute.device)
    dtype = dtype_here(study)
    asked = [study.checkpoint(family, name) for family, name in members]
    needed = {one.name: in_use(weight_bytes(one.params, dtype)) for one in asked}
    large = {name: size for name, size in needed.items() if size > memory}
    fitting = [one.params for one in asked if one.name not in large]
    return large, f"set `max_params: {max(fitting)}`" if fitting else "take smaller checkpoints"


def check_memory_here(study: Study, members: Iterable[tuple[str, str]]) -> None:
    """Refuse checkpoints that this machine cannot hold.

    Args:
        study: the study.
        members: (family, checkpoint) of those that are to be asked here.

    Raises:
        ScrupleError: naming them, with all sizes and the largest one that fits.
    """
    large, remedy = too_large(study, members)
    if not large:
        return
    memory, whose = memory_here(study.compute.device)
    names = ", ".join(f"{name} ({needed / 1e9:.1f} GB)" for name, needed in large.items())
    raise ScrupleError(
        f"{names}: more memory than there is for their weights in {dtype_here(study)}, since "
        f"{whose} {memory / 1e9:.1f} GB. To leave them out, {remedy}; else run where larger or "
        "more GPUs are, or with a smaller `compute.dtype`."
    )
