"""What is read off a model, whichever way it goes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

from scruple.engines.prefix_tree import Tokens

Position = tuple[int, int]
"""Number of a sequence in its batch, and the position whose next token is asked for."""

_PART = 256
"""Rows of logits that are summed up at a time."""


class Logits(NamedTuple):
    """Logits of next tokens; places that share a text share them, since vocabularies are large.

    Attributes:
        values: shape (N, vocabulary).
        index: per place which of the N are its, shape (places,).
    """

    values: torch.Tensor
    index: torch.Tensor

    def logprobs(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of one token after each place, both of shape (places,)."""
        totals = torch.cat([part.float().logsumexp(dim=-1) for part in self.values.split(_PART)])
        tokens = tokens.to(self.values.device)
        return self.values[self.index, tokens].double() - totals[self.index].double()


@dataclass(frozen=True)
class Prefix:
    """What a model has read of R prompts, from which it can go on.

    Attributes:
        logits: of the token after each prompt, shape (R, vocabulary).
        layers: keys and values per layer, of shape (R, heads, L, size of a head), padded left.
        mask: 1 where a prompt has a token, shape (R, L).
    """

    logits: torch.Tensor
    layers: list[tuple[torch.Tensor, torch.Tensor]]
    mask: torch.Tensor


class Forward(Protocol):
    """Reads distributions of next tokens off a model."""

    name: str

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut distinct sequences into batches, the same ones for the same sequences."""
        ...

    def read(self, batch: Sequence[Tokens], places: Sequence[Position]) -> Logits:
        """Read what comes after some places."""
        ...

    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """Read prompts to go on from, each as many times as `repeats` says."""
        ...


def left_mask(lengths: Sequence[int]) -> torch.Tensor:
    """Return 1 where sequences of these lengths have tokens, padded on the left."""
    width = max(lengths)
    return (torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]).long()


def takes(model: Any, name: str) -> bool:
    """Tell whether a model's forward has an argument of that name."""
    return name in inspect.signature(model.forward).parameters
