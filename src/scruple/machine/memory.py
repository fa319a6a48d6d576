"""The memory of this machine or its GPUs, and which checkpoints fit; does not import PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from scruple.errors import ScrupleError
from scruple.machine.gpus import visible_gpus
from scruple.study.model import Study

_OVERHEAD = 1.15
"""Ratio of memory in use to the size of the weights: buffers, activations, fragmentation."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def weight_bytes(params: int, dtype: str) -> int:
    """Return the size of weights in bytes.

    Args:
        params: number of parameters.
        dtype: float32, bfloat16 or float16.
    """
    return params * BYTES[dtype]


def in_use(weights: float) -> float:
    """Return the memory that a model of some weight size needs, in the unit of the argument."""
    return weights * _OVERHEAD


def gpus_here() -> list[int]:
    """Return the memory of each usable GPU in bytes; 0 if the driver does not report it."""
    return [gpu.memory for gpu in visible_gpus()]


def memory_here(device: str) -> tuple[int, str]:
    """Return the memory available to weights in bytes, and the beginning of a message about it.

    It is the total memory of the GPUs. Without GPUs, or if the driver does not report their memory,
    it is the memory of the machine.

    Args:
        device: `compute.device` of the config: `auto`, `cpu` or `cuda`.
    """
    gpus = gpus_here() if device != "cpu" else []
    if gpus and all(gpus):
        whose = "the GPU here has" if len(gpus) == 1 else f"the {len(gpus)} GPUs here have"
        return sum(gpus), whose
    whose = "this machine has" if device == "cpu" or gpus else "this machine has no GPU and"
    return psutil.virtual_memory().total, whose


def dtype_here(study: Study) -> str:
    """Return the number format that weights have on this machine."""
    return study.compute.dtype_on(gpu=study.compute.device != "cpu" and bool(gpus_here()))


def too_large(study: Study, members: Iterable[tuple[str, str]]) -> tuple[dict[str, float], str]:
    """Return which checkpoints do not fit into this machine's memory, and how to leave them out.

    Args:
        study: the study.
        members: (family, checkpoint) of the checkpoints to check.

    Returns:
        Names of those that do not fit → bytes of memory that they need; and the remedy as text.
    """
    memory, _ = memory_here(study.compute.device)
    dtype = dtype_here(study)
    asked = [study.checkpoint(family, name) for family, name in members]
    needed = {one.name: in_use(weight_bytes(one.params, dtype)) for one in asked}
    large = {name: size for name, size in needed.items() if size > memory}
    fitting = [one.params for one in asked if one.name not in large]
    return large, f"set `max_params: {max(fitting)}`" if fitting else "take smaller checkpoints"


def check_memory_here(study: Study, members: Iterable[tuple[str, str]]) -> None:
    """Check that all checkpoints fit into this machine's memory.

    Args:
        study: the study.
        members: (family, checkpoint) of the checkpoints that will run on this machine.

    Raises:
        ScrupleError: if some do not fit; the message names them, the memory that they need, the
            memory of this machine, and the parameters of the largest checkpoint that fits.
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
