"""Texts on which a loaded model shows how it can be read, and how far two ways may differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size

from scruple.engines.forward import Forward, Position
from scruple.engines.prefix_tree import Tokens
from scruple.errors import ScrupleError

_TOLERANCE = {torch.float32: 1e-3}
_ROUGH = 0.1
"""The largest allowed difference between two ways of computing log-probabilities, relative to their
standard deviation: `_TOLERANCE` in float32, `_ROUGH` in other formats."""


class Failed(Exception):
    """A way of reading does not work with a model; the message says why."""


@contextmanager
def attempt() -> Iterator[None]:
    """Turn everything that a model raises into `Failed`, except running out of memory."""
    try:
        yield
    except (Failed, ScrupleError):
        raise
    except Exception as error:  # models, also those with code of their own, raise anything
        if should_reduce_batch_size(error):
            raise
        lines = str(error).strip().splitlines() or [""]
        raise Failed(f"{type(error).__name__}: {lines[0]}") from None


def branching(model: Any, reach: int = 7) -> list[Tokens]:
    """Return sorted sequences of random tokens, of different lengths and with shared prefixes.

    Args:
        model: the model that is to read them.
        reach: the number of tokens that most of them share.
    """
    rng = np.random.default_rng(0)
    words = int(model.get_input_embeddings().weight.shape[0])
    trunk, *ends = [
        tuple(int(token) for token in rng.integers(words, size=n)) for n in (reach, 1, 3, 5, 4)
    ]
    return sorted({trunk, *(trunk + end for end in ends[:3]), trunk[: reach // 2] + ends[3]})


def last_places(batch: Sequence[Tokens], most: int) -> list[Position]:
    """Return the last positions in each sequence of a batch, at most `most`, row by row."""
    return [
        (row, place)
        for row, tokens in enumerate(batch)
        for place in range(max(0, len(tokens) - most), len(tokens))
    ]


def logprobs(forward: Forward, batch: Sequence[Tokens], places: Sequence[Position]) -> torch.Tensor:
    """Return the log-probabilities of all next tokens, shape (places, vocabulary).

    Raises:
        ScrupleError: if some are not finite.
    """
    logits = forward.read(batch, places)
    logits.totals()
    return torch.log_softmax(logits.values[logits.index].float(), dim=-1)


def compare(
    found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype, rounding: bool = False
) -> None:
    """Compare two results of the same shape.

    Args:
        found: log-probabilities of one way.
        expected: those of another.
        dtype: the number format of the model.
        rounding: whether a single text may differ in formats other than float32, as where rounding
            sends a token to another expert; then the mean difference decides.

    Raises:
        Failed: with the difference, if it is more than rounding can explain.
    """
    # a model may rule tokens out (−∞), which both ways must do
    apart = (found - expected).abs().masked_fill(found == expected, 0.0)
    allowed = _TOLERANCE.get(dtype, _ROUGH) * float(expected[expected.isfinite()].std())
    mean = rounding and dtype not in _TOLERANCE
    difference = float(apart.mean() if mean else apart.max())
    if not difference <= allowed:
        raise Failed(f"log p differs by {'' if mean else 'up to '}{difference:.2g}")
