"""The GPUs, memory and time that a job needs to ask a checkpoint.

They follow from the config, so every machine gets the same for a study. Only the time of a hub
checkpoint without a shape in its family file depends on what is in the local cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from scruple.checkpoints.cache import cached_snapshot
from scruple.checkpoints.gguf import gguf_shape
from scruple.checkpoints.local import gguf_folder
from scruple.costs.need import Card, gpus_needed, need
from scruple.costs.workload import Workload
from scruple.errors import ScrupleError
from scruple.machine.memory import in_use, weight_bytes
from scruple.study.architecture import Shape, read_shape
from scruple.study.families import Checkpoint, Hub
from scruple.study.model import Study, resolve
from scruple.study.types import Job

SAFETY = 3
"""Factor from planned to requested time, because the plan was not measured on the card."""
START_MINUTES = 15
"""Minutes that a job takes besides its work: starting, and loading weights from a slow disk."""
UNKNOWN_MINUTES = 24 * 60
"""Minutes to request if there is no shape to plan with, or no GPU."""
SHORT_MINUTES = 5
"""Jobs with at most this many planned minutes of work may share one cluster job."""
HOST_MB = {"cuda": 8_000, "cpu": 4_000}
"""Main memory besides weights, in MB: PyTorch, GPU libraries, items, responses not yet written."""
FILE_MB = 10_000
"""Most main memory, in MB, for weights on their way to a GPU: they are loaded file by file."""


@dataclass(frozen=True)
class Demand:
    """What a job requests at its first attempt.

    Attributes:
        gpus: number of GPUs, given the memory of one.
        memory_mb: main memory in 10^6 bytes.
        minutes: time limit.
        short: whether the job is too short to queue on its own.
    """

    gpus: int
    memory_mb: int
    minutes: int
    short: bool


def shape_of(checkpoint: Checkpoint, hub: Hub) -> Shape | None:
    """Return a checkpoint's shape: from its family, config.json or GGUF file; None without."""
    if checkpoint.shape is not None:
        return checkpoint.shape
    folder = folder_here(checkpoint, hub)
    if folder is None or checkpoint.file is None:
        return read_shape(folder / "config.json", checkpoint.params) if folder else None
    return gguf_shape(folder / checkpoint.file)


def folder_here(checkpoint: Checkpoint, hub: Hub) -> Path | None:
    """Return the folder of a checkpoint's files on this machine; None if they are not here."""
    if checkpoint.hub is not None:
        return cached_snapshot(checkpoint, hub)
    if checkpoint.file is None:
        return resolve(str(checkpoint.path))
    try:
        return gguf_folder(checkpoint)
    except ScrupleError:
        return None


def demand(study: Study, job: Job, work: Workload, card: Card, shards: int = 1) -> Demand:
    """Return what a job must request.

    Args:
        study: the study, with device and dtype.
        job: the job.
        work: its workload, over all shards.
        card: the GPU, with its memory.
        shards: number of shards; the result is for one of them.
    """
    checkpoint = study.checkpoint(*job[:2])
    on_gpu = study.compute.device != "cpu"
    dtype = study.compute.dtype_on(gpu=on_gpu)
    weights = weight_bytes(checkpoint.params, dtype) / 1e6
    gpus = gpus_needed(weights / 1e3, card) if on_gpu else 0
    memory = HOST_MB["cuda" if on_gpu else "cpu"]
    memory += math.ceil(min(weights, FILE_MB) if on_gpu else in_use(weights))
    shape = shape_of(checkpoint, study.hub)
    if shape is None or not on_gpu:
        return Demand(gpus, memory, UNKNOWN_MINUTES, False)
    minutes = need(shape, work, dtype, card, study.compute.engine).hours * 60 / shards
    asked = START_MINUTES + math.ceil(SAFETY * minutes)
    return Demand(gpus, memory, asked, minutes <= SHORT_MINUTES and gpus == 1 and shards == 1)
