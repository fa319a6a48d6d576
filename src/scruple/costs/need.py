"""From a model's architecture and a workload to memory, GPUs and hours.

This is a rough model with named assumptions. Scoring is limited by arithmetic, sampling by reading
the weights once per token of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scruple.costs.workload import Workload
from scruple.machine.memory import BYTES, in_use, weight_bytes
from scruple.study.architecture import Shape

COMPUTE_SHARE = 0.4
"""Fraction of a card's peak rate that scoring reaches."""
BANDWIDTH_SHARE = 0.5
"""Fraction of a card's memory bandwidth that sampling reaches."""
STEP_PER_LAYER = 1e-3
"""Minimum seconds per layer to add one token to each sequence of a batch: the kernels are many and
small, and the CPU launches them one by one."""
CACHE_SHARE = 0.2
"""Minimum fraction of a card's memory that is left for the KV cache."""
PARALLEL_LOSS = 0.7
"""Rate of one checkpoint on several cards, relative to that of the same cards used separately."""


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: name in data/cards.yaml.
        memory_gb: memory in 10^9 bytes.
        tflops: dense rate in 10^12 operations per second.
        bandwidth_gbs: memory bandwidth in 10^9 bytes per second.
    """

    name: str
    memory_gb: float
    tflops: float
    bandwidth_gbs: float


@dataclass(frozen=True)
class Need:
    """What one checkpoint needs for one benchmark on one kind of card.

    Attributes:
        prompts: prompts that are answered.
        tokens: tokens to read.
        sampled: tokens to sample, at most.
        flops: floating-point operations.
        weights_gb: memory of the weights in 10^9 bytes.
        cache_gb: KV cache of the sequences that are sampled together, in 10^9 bytes.
        gpus: number of cards that hold the weights and a KV cache.
        hours: time on these cards.
    """

    prompts: int
    tokens: int
    sampled: int
    flops: float
    weights_gb: float
    cache_gb: float
    gpus: int
    hours: float


def weights_gb(shape: Shape, dtype: str) -> float:
    """Return the memory of the weights in 10^9 bytes."""
    return weight_bytes(shape.params(), dtype) / 1e9


def gpus_needed(weights: float, card: Card) -> int:
    """Return how many cards hold the weights (in 10^9 bytes) and leave room for the KV cache."""
    return max(1, math.ceil(in_use(weights) / (card.memory_gb * (1 - CACHE_SHARE))))


def tokens_read(shape: Shape, work: Workload, engine: str) -> int:
    """Return how many tokens an engine reads.

    They are the distinct ones, except where the transformers engine cannot pack: then every row is
    read from its beginning.
    """
    if shape.packed or engine != "transformers":
        return work.distinct
    return max(work.distinct, round(work.rows * work.length))


def need(
    shape: Shape, work: Workload, dtype: str, card: Card, engine: str = "transformers"
) -> Need:
    """Return what a checkpoint needs for a workload.

    Reading costs 2 operations per weight and token. Where a next token is read, the output layer
    adds 2 × vocabulary × width (Kaplan et al. 2020). Attention adds 4 × layers × width per token
    and preceding token, and half of a row's tokens precede on average. Sampling reads all weights
    once per token of a batch, and takes at least the time to launch each layer's kernels.

    Args:
        shape: the checkpoint's dimensions.
        work: the workload.
        dtype: number format of the weights.
        card: the GPU or CPU.
        engine: `compute.engine` of the config.
    """
    tokens = tokens_read(shape, work, engine)
    gpus = gpus_needed(weights_gb(shape, dtype), card)
    output = 2 * shape.vocab * shape.width
    attention = 2 * shape.layers * shape.width * work.length
    reading = tokens * (shape.operations_per_token() + attention) + work.rows * output
    sampling = work.sampled * (shape.operations_per_token() + attention + output)
    token_bytes = shape.cache_per_token() * BYTES[dtype]
    free = gpus * card.memory_gb * 1e9 - in_use(weights_gb(shape, dtype) * 1e9)
    together = max(1, min(int(free / 2 / token_bytes / max(work.length, 1)), 256))
    rate = gpus * card.tflops * 1e12 * COMPUTE_SHARE
    band = gpus * card.bandwidth_gbs * 1e9 * BANDWIDTH_SHARE
    if gpus > 1:
        rate, band = rate * PARALLEL_LOSS, band * PARALLEL_LOSS
    steps = work.sampled / together
    moved = weight_bytes(shape.params(), dtype) + together * work.length * token_bytes
    slowest = max(sampling / rate, steps * moved / band, steps * shape.layers * STEP_PER_LAYER)
    seconds = reading / rate + slowest
    return Need(
        prompts=work.prompts,
        tokens=tokens,
        sampled=work.sampled,
        flops=reading + sampling,
        weights_gb=weights_gb(shape, dtype),
        cache_gb=together * work.length * token_bytes / 1e9 if work.sampled else 0.0,
        gpus=gpus,
        hours=seconds / 3600,
    )
