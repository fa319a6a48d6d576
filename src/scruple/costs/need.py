"""From an architecture's numbers and a workload to memory, GPUs and hours.

A rough model, in which every assumption has a name: scoring is bound by arithmetic, sampling by
reading the weights once per token of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scruple.costs.workload import Workload
from scruple.machine.memory import BYTES, in_use, weight_bytes
from scruple.study.architecture import Shape

COMPUTE_SHARE = 0.4
"""Of a card's rate, what scoring reaches."""
BANDWIDTH_SHARE = 0.5
"""Of a card's bandwidth, what sampling reaches."""
STEP_PER_LAYER = 1e-3
"""Seconds that a layer takes at least when a batch is continued by a token: its calls are many and
small, and a processor issues them one by one."""
CACHE_SHARE = 0.2
"""Of a card's memory, what is left to keys and values at least."""
PARALLEL_LOSS = 0.7
"""Rate of a checkpoint on several cards, to that of as many cards apart."""


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: as in data/cards.yaml.
        memory_gb: in 10^9 bytes.
        tflops: dense rate in 10^12 operations a second.
        bandwidth_gbs: of its memory, in 10^9 bytes a second.
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
        tokens: distinct tokens to be read.
        sampled: tokens to be sampled, at most.
        flops: floating-point operations.
        weights_gb: memory of the weights.
        cache_gb: memory of keys and values of the sequences sampled together.
        gpus: cards that hold them.
        hours: on these.
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
    """Return how many cards hold weights of so many 10^9 bytes, with room for keys and values."""
    return max(1, math.ceil(in_use(weights) / (card.memory_gb * (1 - CACHE_SHARE))))


def need(shape: Shape, work: Workload, dtype: str, card: Card) -> Need:
    """Return what a checkpoint needs for a workload.

    Reading costs 2 operations per weight and token, and per word and width of the output where a
    next token is read (Kaplan et al. 2020); attention adds 4 × layers × width per token and token
    before it, half of them on average. Sampling reads all weights once per token of a batch, and
    takes each layer's calls at least.
    """
    gpus = gpus_needed(weights_gb(shape, dtype), card)
    output = 2 * shape.vocab * shape.width
    attention = 2 * shape.layers * shape.width * work.length
    reading = work.distinct * (shape.operations_per_token() + attention) + work.rows * output
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
        tokens=work.distinct,
        sampled=work.sampled,
        flops=reading + sampling,
        weights_gb=weights_gb(shape, dtype),
        cache_gb=together * work.length * token_bytes / 1e9 if work.sampled else 0.0,
        gpus=gpus,
        hours=seconds / 3600,
    )
