"""Checks of the checkpoint and the machine that every engine makes when it loads."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from scruple.checkpoints.facts import changed_file
from scruple.checkpoints.location import Location, folder_of
from scruple.checkpoints.manifest import Manifest
from scruple.errors import ScrupleError
from scruple.machine.memory import in_use
from scruple.study.settings import Compute

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def device_of(compute: Compute) -> str:
    """Return the device to use, `cuda` or `cpu`.

    Raises:
        ScrupleError: if the config requires a GPU and there is none.
    """
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise ScrupleError(
            "config: `compute.device` is cuda, and PyTorch finds no GPU here: check the driver "
            "(nvidia-smi), or set it to cpu or auto."
        )
    return "cuda" if available and compute.device != "cpu" else "cpu"


def dtype_of(compute: Compute, device: str) -> torch.dtype:
    """Return the dtype of the weights: the config's, or the default of the device."""
    return _DTYPES[compute.dtype_on(gpu=device == "cuda")]


def check_files(manifest: Manifest) -> None:
    """Raise an error if a checkpoint's files have changed since they were fetched.

    A file of the same size that was modified after the hashing began is hashed again.

    Raises:
        ScrupleError: naming the file and the remedy.
    """
    record, copy = manifest.manifest or "its manifest", manifest.dequantised
    folder = folder_of(Location(manifest.checkpoint, manifest.folder), manifest.manifest)
    changed = changed_file(Path(folder), manifest.files, manifest.hashed)
    if changed is None and copy is not None:
        changed = changed_file(Path(copy.folder), copy.files, copy.hashed)
    if changed is not None:
        raise ScrupleError(
            f"{manifest.checkpoint}: {changed} is not what it was when it was fetched: "
            f"damaged, cut short or replaced. Delete {record} and run "
            "again: what is damaged is then fetched anew, and what was replaced is asked anew."
        )


def check_memory(manifest: Manifest, dtype: torch.dtype, device: str) -> None:
    """Raise an error if the weights do not fit into the job's visible GPUs, or into CPU memory.

    Raises:
        ScrupleError: with the needed and available memory.
    """
    if device == "cuda":
        cards = range(torch.cuda.device_count())
        memory = sum(torch.cuda.get_device_properties(card).total_memory for card in cards)
    else:
        memory = psutil.virtual_memory().total
    needed = in_use(manifest.params * dtype.itemsize)
    if needed > memory:
        whose = "the GPUs that the job sees have" if device == "cuda" else "this machine has"
        raise ScrupleError(
            f"checkpoint {manifest.checkpoint}: needs {needed / 1e9:.1f} GB of memory for its "
            f"weights, and {whose} {memory / 1e9:.1f} GB. Take more or larger GPUs or a smaller "
            "`compute.dtype`, or leave it out (`max_params`)."
        )


def size_of(model: torch.nn.Module, manifest: Manifest) -> int:
    """Return the number of parameters of a model.

    Raises:
        ScrupleError: if it differs from the config's number, the x axis of figures, by over 2 %.
    """
    params = sum(parameter.numel() for parameter in model.parameters())
    stated = manifest.params
    if abs(params - stated) > 0.02 * params:
        raise ScrupleError(
            f"config: checkpoint {manifest.checkpoint} has {params:,} parameters, and the "
            f"config says `params: {stated}`; correct it, since figures are drawn against it."
        )
    return params
