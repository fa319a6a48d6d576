"""The interface of a forward pass, which plain batches and packed prefix trees implement."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

from scruple.engines.prefix_tree import Tokens
from scruple.errors import ScrupleError

Position = tuple[int, int]
"""Index of a sequence in its batch, and a position in it; the token after it is predicted."""

_PART = 256
"""The number of rows of logits that are normalised at a time, to limit memory."""


class Logits(NamedTuple):
    """Logits of next tokens at some places; places may share a row, since vocabularies are large.

    Attributes:
        values: the logits, shape (N, vocabulary).
        index: the row in `values` of each place, shape (places,).
        dtype: the number format of the model; None if it is that of the logits.
    """

    values: torch.Tensor
    index: torch.Tensor
    dtype: torch.dtype | None = None

    def totals(self) -> torch.Tensor:
        """Return the logarithm of the normalising constant of each place, shape (places,).

        Raises:
            ScrupleError: if one is not finite.
        """
        parts = [part.float().logsumexp(dim=-1) for part in self.values.split(_PART)]
        totals = torch.cat(parts)[self.index]
        check_finite(totals, self.dtype or self.values.dtype)
        return totals

    def logprobs(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of one given token per place; both of shape (places,).

        Raises:
            ScrupleError: if the logits of a place are not finite.
        """
        tokens = tokens.to(self.values.device)
        return self.values[self.index, tokens].double() - self.totals().double()


@dataclass(frozen=True)
class Prefix:
    """The state of a model after reading R prompts, from which they can be continued.

    Attributes:
        logits: logits of the token after each prompt, shape (R, vocabulary).
        layers: keys and values per layer, each of shape (R, heads, L, head size), padded on the
            left.
        mask: 1 where a prompt has a token, shape (R, L).
    """

    logits: torch.Tensor
    layers: list[tuple[torch.Tensor, torch.Tensor]]
    mask: torch.Tensor


class Forward(Protocol):
    """Run a model to get logits of next tokens."""

    name: str

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut distinct sequences into batches; the same sequences always give the same batches."""
        ...

    def read(self, batch: Sequence[Tokens], places: Sequence[Position]) -> Logits:
        """Return the logits of the tokens after some places of a batch."""
        ...

    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """Read prompts to be continued, each repeated as often as `repeats` says."""
        ...


_WIDER = {
    torch.float16: "set `compute.dtype` to bfloat16 or float32",
    torch.bfloat16: "set `compute.dtype` to float32",
}


def check_finite(values: torch.Tensor, dtype: torch.dtype) -> None:
    """Check numbers computed from logits: sums of their exponentials, or their maxima.

    Args:
        values: the numbers, of any shape.
        dtype: the number format of the model, for the message.

    Raises:
        ScrupleError: if one is NaN or infinite.
    """
    if bool(values.isfinite().all()):
        return
    format = str(dtype).removeprefix("torch.")
    wider = f"{_WIDER[dtype]}; if that does not help, " if dtype in _WIDER else ""
    cause = f"{format} is too narrow for it, or its weights are" if wider else "its weights are"
    raise ScrupleError(
        f"the checkpoint's logits in {format} are not finite (NaN or infinity): {cause} damaged; "
        f"{wider}fetch it again or leave it out."
    )


def left_mask(lengths: Sequence[int]) -> torch.Tensor:
    """Return the attention mask of left-padded sequences, shape (sequences, longest length)."""
    width = max(lengths)
    return (torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]).long()


def takes(model: Any, name: str) -> bool:
    """Return whether a model's `forward` has an argument of that name."""
    return name in inspect.signature(model.forward).parameters
