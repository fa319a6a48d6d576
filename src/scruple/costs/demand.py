"""What a job that asks a checkpoint must be given: GPUs, memory, time.

All of it follows from the config, so that every machine that looks at a study finds the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scruple.checkpoints.cache import cached_snapshot
from scruple.costs.need import Card, gpus_needed, need
from scruple.costs.workload import Workload
from scruple.machine.memory import in_use, weight_bytes
from scruple.study.architecture import Shape, read_shape
from scruple.study.families import Checkpoint, Hub
from scruple.study.model import Study, resolve
from scruple.study.types import Job

SAFETY = 3
"""Time that is asked for, to the plan's, which nothing has measured on the card."""
START_MINUTES = 15
"""Time that a job takes beside its work: to start, to load weights from a slow disk."""
UNKNOWN_MINUTES = 24 * 60
"""Time that is asked for where there is no shape to work it out from, or no GPU."""
SHORT_MINUTES = 5
"""Work, by the plan, of jobs that are worth sharing one place in a queue."""
HOST_MB = {"cuda": 8_000, "cpu": 4_000}
"""Memory beside the weights: PyTorch with its GPU libraries, items, responses not yet written."""
FILE_MB = 10_000
"""Of weights on their way to a GPU, the most that is in memory at once: a file of them."""


@dataclass(frozen=True)
class Demand:
    """What a job must be given at its first attempt.

    Attributes:
        gpus: how many, by the memory of one.
        memory_mb: of the machine, in 10^6 bytes.
        minutes: at most.
        short: whether it is over so soon that it should not queue by itself.
    """

    gpus: int
    memory_mb: int
    minutes: int
    short: bool


def shape_of(checkpoint: Checkpoint, hub: Hub) -> Shape | None:
    """Return a checkpoint's shape: the family file's, or that of a config.json here; else None."""
    folder = resolve(checkpoint.path) if checkpoint.path else None
    if checkpoint.shape is None and checkpoint.hub:
        folder = cached_snapshot(checkpoint, hub)
    if checkpoint.shape is not None or folder is None:
        return checkpoint.shape
    return read_shape(folder / "config.json")


def demand(study: Study, job: Job, work: Workload, card: Card, shards: int = 1) -> Demand:
    """Return what a job must be given.

    Args:
        study: device and number format.
        job: what is asked.
        work: how much that is.
        card: a GPU, with its memory.
        shards: in how many jobs it is asked.
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
    minutes = need(shape, work, dtype, card).hours * 60 / shards
    asked = START_MINUTES + math.ceil(SAFETY * minutes)
    return Demand(gpus, memory, asked, minutes <= SHORT_MINUTES and gpus == 1 and shards == 1)
