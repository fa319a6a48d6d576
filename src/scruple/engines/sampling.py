"""Sampling whose draws belong to the request, not to the batch.

The n-th token of a request is drawn by inverting the cumulative distribution at the n-th number
of a random stream seeded by the request alone. So batching, sharding and order change no draw;
only a difference in the probabilities themselves, of the size of rounding, can.
"""

from __future__ import annotations

import numpy as np
import torch

from scruple.study.settings import Decoding


def stream_of(seed: int, n: int) -> np.ndarray:
    """Return the first n random numbers of a request's stream, from 0 to 1, shape (n,)."""
    return np.random.default_rng(seed).random(n)


def draw_tokens(logits: torch.Tensor, points: torch.Tensor, decoding: Decoding) -> list[int]:
    """Return one token per row: where the cumulative distribution passes the row's point.

    Args:
        logits: of the next token, shape (rows, vocabulary).
        points: random numbers from 0 to 1, shape (rows,).
        decoding: temperature and top-p.
    """
    p = torch.softmax(logits.double() / decoding.temperature, dim=-1)
    if decoding.top_p < 1:
        p = keep_top_p(p, decoding.top_p)
    cumulative = p.cumsum(dim=-1)
    reached = points.to(logits.device)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, reached, right=True)[:, 0]
    tokens: list[int] = drawn.clamp(max=logits.shape[1] - 1).tolist()
    return tokens


def keep_top_p(p: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the likeliest tokens that together reach `top_p` (Holtzman et al. 2020).

    Args:
        p: probabilities, shape (rows, vocabulary).
        top_p: the mass to keep, in (0, 1).
    """
    ordered, places = p.sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(p).scatter_(1, places, ordered)
