"""The two ways of continuing texts token by token, and the choice between them.

Most models keep keys and values of every layer, so that a step reads one token per row. Others keep
something else: the state of a recurrent layer, a convolution's last inputs, compressed keys. Their
states cannot be cut, joined and padded like keys and values, so every step reads the whole text
again. That is slow and gives the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from scruple.engines.prefix_tree import Tokens
from scruple.engines.self_test import attempt, branching, compare


class Row(Protocol):
    """A text in progress: its prompt, and the tokens that were drawn so far."""

    prompt: Tokens
    tokens: list[int]


class Batch(Protocol):
    """Rows in progress, with whatever the model keeps of them."""

    rows: list[Any]

    def keep(self, places: list[int]) -> Any:
        """Return a batch with the rows at these indices."""
        ...

    def join(self, other: Any) -> Any:
        """Return a batch with the rows of both."""
        ...


class Steps(Protocol):
    """A way of continuing texts."""

    def empty(self) -> Batch:
        """Return a batch without rows."""
        ...

    def start(self, rows: Sequence[Row]) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Read the prompts of new rows; yield batches and logits of their next tokens.

        The logits have shape (rows of the batch, vocabulary).
        """
        ...

    def step(self, batch: Any) -> torch.Tensor:
        """Return logits of the next token of each row; all rows have one more token than before."""
        ...


_GIVEN = 3
"""The number of tokens with which the texts of the self-test are continued."""


class _Trial:
    """A row of the self-test: a text whose last `_GIVEN` tokens are given one by one."""

    def __init__(self, text: Tokens) -> None:
        self.prompt, self._rest = text[:-_GIVEN], text[-_GIVEN:]
        self.tokens: list[int] = []

    def go_on(self) -> None:
        self.tokens.append(self._rest[len(self.tokens)])


def check_steps(model: Any, steps: Steps, reference: Steps) -> None:
    """Continue rows of different lengths, of which some leave and others join on the way.

    Args:
        model: the model.
        steps: the way to check.
        reference: a way that is known to be right.

    Raises:
        Failed: if something fails, or the logits differ.
    """
    texts = sorted(branching(model), key=len)
    with attempt():
        found, expected = (_continue(each, texts) for each in (steps, reference))
        compare(found, expected, model.dtype, rounding=True)


@torch.inference_mode()
def _continue(steps: Steps, texts: Sequence[Tokens]) -> torch.Tensor:
    """Return log-probabilities of next tokens in a fixed order, shape (those read, vocabulary)."""
    trials = [_Trial(text) for text in texts]
    batch, read = steps.empty(), []

    def note(of: Batch, logits: torch.Tensor) -> None:
        """Keep the logits in the order of the trials, and give each row its next token."""
        for trial in trials:
            if trial in of.rows:
                read.append(logits[of.rows.index(trial)])
                trial.go_on()

    for some in (trials[1:], trials[:1]):
        for new, logits in steps.start(some):
            note(new, logits)
            batch = batch.join(new)
        note(batch, steps.step(batch))
        batch = batch.keep([i for i, row in enumerate(batch.rows) if row is not trials[-1]])
    return torch.stack(read).float().log_softmax(dim=-1)
