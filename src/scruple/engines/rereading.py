"""Continue texts without a cache: every step reads each row from its first token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from scruple.engines.forward import Forward
from scruple.engines.prefix_tree import Tokens
from scruple.engines.stepping import Row


@dataclass
class _Rows:
    """Rows in progress, of which the model keeps nothing."""

    rows: list[Any]

    def keep(self, places: list[int]) -> _Rows:
        return _Rows([self.rows[i] for i in places])

    def join(self, other: _Rows) -> _Rows:
        return _Rows(self.rows + other.rows)


class Rereading:
    """Continue rows by reading them anew; see `scruple.engines.stepping.Steps`."""

    def __init__(self, forward: Forward) -> None:
        """Take the forward pass that reads the rows."""
        self._forward = forward

    def empty(self) -> _Rows:
        """See `Steps.empty`."""
        return _Rows([])

    def start(self, rows: Sequence[Row]) -> Iterator[tuple[_Rows, torch.Tensor]]:
        """See `Steps.start`."""
        batch = _Rows(list(rows))
        yield batch, self.step(batch)

    def step(self, batch: _Rows) -> torch.Tensor:
        """See `Steps.step`. Equal texts are read once."""
        texts = [row.prompt + tuple(row.tokens) for row in batch.rows]
        found: dict[Tokens, torch.Tensor] = {}
        for some in self._forward.batches(list(dict.fromkeys(texts))):
            logits = self._forward.read(some, [(i, len(text) - 1) for i, text in enumerate(some)])
            found |= zip(some, logits.values[logits.index], strict=True)
        return torch.stack([found[text] for text in texts])
