"""Sample many continuations at once with continuous batching: new rows replace finished ones.

Prompts are read as prefix trees if the model supports it, so that shared prefixes are computed
once. How a row goes on depends on the model (see `scruple.engines.stepping`). A row has its own
random numbers (see `scruple.engines.sampling`), so the other rows of the batch affect it only
through rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from scruple.engines.choose import choose_steps
from scruple.engines.continuation import Ending
from scruple.engines.forward import Forward
from scruple.engines.prefix_tree import Tokens
from scruple.engines.sampling import draw_tokens, stream_of
from scruple.engines.stepping import Batch, Steps
from scruple.study.settings import Decoding

_REFILL_AT = 0.75
"""New rows are added once at most this share is active, so that each prefill has many rows."""


@dataclass
class _Row:
    """A continuation in progress: its prompt, random numbers, ending and tokens so far."""

    number: int
    prompt: Tokens
    draws: np.ndarray
    ending: Ending
    tokens: list[int] = field(default_factory=list)


class Sampler:
    """Continue prompts by sampling."""

    def __init__(self, model: Any, forward: Forward, tokenizer: Any, batch_tokens: int) -> None:
        """Wrap a model.

        Args:
            model: a causal language model in evaluation mode.
            forward: the forward pass to use for prompts.
            tokenizer: the model's tokenizer.
            batch_tokens: the most tokens that all rows together may hold, padding included.
        """
        self._model = model
        self._forward = forward
        self._tokenizer = tokenizer
        self._budget = batch_tokens

    def most(self, prompts: Sequence[Tokens], decoding: Decoding) -> int:
        """Return how many rows fit into the budget at full length; at least one."""
        width = max(map(len, prompts), default=0) + decoding.max_new_tokens
        return max(1, self._budget // width)

    @torch.inference_mode()
    def run(
        self,
        numbers: Sequence[int],
        prompts: Sequence[Tokens],
        seeds: Sequence[int],
        endings: Sequence[Ending],
        decoding: Decoding,
        rows: int,
        finished: Callable[[dict[int, list[int]]], Any],
    ) -> None:
        """Sample one continuation for each of some prompts.

        Args:
            numbers: the indices of the prompts to continue.
            prompts: the tokens of all prompts.
            seeds: the random seed of each prompt.
            endings: what ends each prompt's continuation.
            decoding: temperature, top-p and the maximum number of new tokens.
            rows: the most rows to sample at once.
            finished: called with index of the prompt → its sampled tokens, including the end token.
        """
        room = decoding.max_new_tokens
        order = sorted(numbers, key=lambda i: prompts[i])
        waiting = deque(_Row(i, prompts[i], stream_of(seeds[i], room), endings[i]) for i in order)
        batch = self._steps.empty()
        while waiting or batch.rows:
            if waiting and len(batch.rows) <= _REFILL_AT * rows:
                new = [waiting.popleft() for _ in range(min(rows - len(batch.rows), len(waiting)))]
                for added, logits in self._steps.start(new):
                    batch = batch.join(self._advance(added, logits, decoding, finished))
                continue
            batch = self._advance(batch, self._step(batch), decoding, finished)

    @cached_property
    def _steps(self) -> Steps:
        """The way of continuing texts that the model supports, found on first use."""
        return choose_steps(self._model, self._forward)

    def _step(self, batch: Batch) -> torch.Tensor:
        """Return logits of the next token of each row."""
        return self._steps.step(batch)

    def _advance(
        self,
        batch: Batch,
        logits: torch.Tensor,
        decoding: Decoding,
        finished: Callable[[dict[int, list[int]]], Any],
    ) -> Batch:
        """Draw the next token of each row, report finished rows and return the others."""
        step = [len(row.tokens) for row in batch.rows]
        points = torch.tensor([row.draws[k] for row, k in zip(batch.rows, step, strict=True)])
        for row, token in zip(
            batch.rows, draw_tokens(logits, points, decoding, self._model.dtype), strict=True
        ):
            row.tokens.append(token)
        stopped = self._stopped(batch.rows)
        done = {
            row.number: row.tokens
            for row, at_stop in zip(batch.rows, stopped, strict=True)
            if at_stop or len(row.tokens) == decoding.max_new_tokens
        }
        if done:
            batch = batch.keep([i for i, row in enumerate(batch.rows) if row.number not in done])
            finished(done)
        return batch

    def _stopped(self, rows: list[_Row]) -> list[bool]:
        """Return for each row whether its last token ends it, or completes a text that does."""
        found = [row.tokens[-1] in row.ending.tokens for row in rows]
        searched = [k for k, row in enumerate(rows) if row.ending.may_complete(row.tokens[-1])]
        tails = [rows[place].tokens[-rows[place].ending.longest :] for place in searched]
        texts = self._tokenizer.batch_decode(tails) if tails else []
        for place, text in zip(searched, texts, strict=True):
            found[place] |= any(mark in text for mark in rows[place].ending.texts)
        return found
