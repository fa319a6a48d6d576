"""Sampling in which each request has its own random numbers, independent of the batch.

Each request has a random stream with its own seed. Its n-th token is drawn by inverse transform
sampling with the n-th number of that stream. Batching, sharding and order therefore do not change
the random numbers; a drawn token can change only through rounding differences in the probabilities.
"""

from __future__ import annotations

import numpy as np
import torch

from scruple.engines.forward import check_finite
from scruple.study.settings import Decoding


def stream_of(seed: int, n: int) -> np.ndarray:
    """Return the first n random numbers in [0, 1) of a request's stream, shape (n,)."""
    return np.random.default_rng(seed).random(n)


def draw_tokens(
    logits: torch.Tensor,
    points: torch.Tensor,
    decoding: Decoding,
    dtype: torch.dtype | None = None,
) -> list[int]:
    """Draw one token per row, the first at which the cumulative distribution exceeds its point.

    Args:
        logits: logits of the next token, shape (rows, vocabulary).
        points: random numbers in [0, 1), shape (rows,).
        decoding: temperature and top-p.
        dtype: the number format of the model, for messages; None if it is that of the logits.

    Raises:
        ScrupleError: if logits are not finite; a token may be ruled out by −∞, but not all.
    """
    check_finite(logits.amax(dim=-1), dtype or logits.dtype)
    p = torch.softmax(logits.double() / decoding.temperature, dim=-1)
    if decoding.top_p < 1:
        p = keep_top_p(p, decoding.top_p)
    cumulative = p.cumsum(dim=-1)
    reached = points.to(logits.device)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, reached, right=True)[:, 0]
    tokens: list[int] = drawn.clamp(max=logits.shape[1] - 1).tolist()
    return tokens


def keep_top_p(p: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the most likely tokens that together reach `top_p` (Holtzman et al. 2020).

    Args:
        p: probabilities, shape (rows, vocabulary).
        top_p: the probability mass to keep, in (0, 1).

    Returns:
        The remaining probabilities, not renormalised; shape (rows, vocabulary).
    """
    ordered, places = p.sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(p).scatter_(1, places, ordered)
