"""Sampling whose draws belong to the request, not to the batch.

The n-th token of a request is drawn by inverting the cumulative distribution at the n-th number
of a random stream seeded by the request alone. So batching, sharding and order change no draw;
only a difference in the probabilities themselves, of the size of rounding, can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor

from scruple.study import Decoding


class SeededSampling(LogitsProcessor):
    """Leaves one token per row possible: the one drawn by the row's own random stream."""

    def __init__(self, seeds: Sequence[int], prompt_length: int, decoding: Decoding) -> None:
        """Prepare the streams.

        Args:
            seeds: one per row of the batch.
            prompt_length: columns that the batch has before the first sampled token.
            decoding: temperature, top-p and the largest number of tokens.
        """
        draws = [np.random.default_rng(seed).random(decoding.max_new_tokens) for seed in seeds]
        self._draws = torch.from_numpy(np.stack(draws))
        self._prompt_length = prompt_length
        self._decoding = decoding

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores of −inf, but 0 for the drawn token; both of shape (rows, vocabulary)."""
        step = input_ids.shape[1] - self._prompt_length
        p = torch.softmax(scores.double() / self._decoding.temperature, dim=-1)
        if self._decoding.top_p < 1:
            p = keep_top_p(p, self._decoding.top_p)
        cumulative = p.cumsum(dim=-1)
        points = self._draws[:, step].to(scores.device)[:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, points, right=True)
        drawn = drawn.clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn, 0.0)


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
