"""Sample many continuations at once with continuous batching: new rows replace finished ones.

Prompts are read as prefix trees if the model supports it, so that shared prefixes are computed
once. Each row then has its own keys and values. A row also has its own random numbers (see
`scruple.engines.sampling`), so the other rows of the batch affect it only through rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers.cache_utils import Cache, DynamicLayer

from scruple.engines.continuation import Ending
from scruple.engines.forward import Forward, Prefix, takes
from scruple.engines.prefix_tree import Tokens
from scruple.engines.sampling import draw_tokens, stream_of
from scruple.study.settings import Decoding

_REFILL_AT = 0.75
"""New rows are added once at most this share is active, so that each prefill has many rows."""
_ROOM = 32
"""The number of tokens by which key and value buffers grow at a time."""


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
        self._device = model.get_input_embeddings().weight.device
        self._places = takes(model, "position_ids")

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
        batch = _Batch.empty()
        while waiting or batch.rows:
            if waiting and len(batch.rows) <= _REFILL_AT * rows:
                new = [waiting.popleft() for _ in range(min(rows - len(batch.rows), len(waiting)))]
                for prefix, read in self._read(new):
                    added = self._advance(
                        _Batch.of(read, prefix), prefix.logits, decoding, finished
                    )
                    batch = batch.join(added)
                continue
            batch = self._advance(batch, self._step(batch), decoding, finished)

    def _read(self, rows: list[_Row]) -> Iterator[tuple[Prefix, list[_Row]]]:
        """Read the prompts of new rows in batches, each distinct prompt once."""
        by_prompt: dict[Tokens, list[_Row]] = {}
        for row in rows:
            by_prompt.setdefault(row.prompt, []).append(row)
        for prompts in self._forward.batches(list(by_prompt)):
            repeats = [len(by_prompt[prompt]) for prompt in prompts]
            prefix = self._forward.prefix(prompts, repeats)
            yield prefix, [row for prompt in prompts for row in by_prompt[prompt]]

    def _step(self, batch: _Batch) -> torch.Tensor:
        """Run the model on each row's last token, which extends the batch; return its logits."""
        ids = torch.tensor([row.tokens[-1] for row in batch.rows], device=self._device)
        more = torch.ones((len(batch.rows), 1), dtype=batch.mask.dtype, device=batch.mask.device)
        batch.mask = torch.cat([batch.mask, more], dim=1)
        options = {}
        if self._places:
            options["position_ids"] = batch.mask.sum(dim=1, keepdim=True) - 1
        logits: torch.Tensor = self._model(
            input_ids=ids[:, None], attention_mask=batch.mask,
            past_key_values=Cache(layers=batch.layers), use_cache=True, **options,
        ).logits[:, -1]  # fmt: skip
        return logits

    def _advance(
        self,
        batch: _Batch,
        logits: torch.Tensor,
        decoding: Decoding,
        finished: Callable[[dict[int, list[int]]], Any],
    ) -> _Batch:
        """Draw the next token of each row, report finished rows and return the others."""
        step = [len(row.tokens) for row in batch.rows]
        points = torch.tensor([row.draws[k] for row, k in zip(batch.rows, step, strict=True)])
        for row, token in zip(batch.rows, draw_tokens(logits, points, decoding), strict=True):
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
        searched = [place for place, row in enumerate(rows) if row.ending.texts]
        tails = [rows[place].tokens[-rows[place].ending.longest :] for place in searched]
        texts = self._tokenizer.batch_decode(tails) if tails else []
        for place, text in zip(searched, texts, strict=True):
            found[place] |= any(mark in text for mark in rows[place].ending.texts)
        return found


class _Layer(DynamicLayer):
    """Keys and values of a layer in preallocated buffers, so that most steps copy no old ones."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._buffers = (keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the keys and values of new tokens; return those of all tokens."""
        length = self.keys.shape[2]
        new = length + key_states.shape[2]
        if new > self._buffers[0].shape[2]:
            room = (0, 0, 0, new - length + _ROOM)
            self._buffers = (pad(self.keys, room), pad(self.values, room))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, length:new] = states
        self.keys, self.values = (buffer[:, :, :new] for buffer in self._buffers)
        return self.keys, self.values


@dataclass
class _Batch:
    """Active rows with their keys and values, padded on the left.

    `keep` and `join` replace the layers one by one, so that only one of them is in memory twice.
    """

    rows: list[_Row]
    layers: list[_Layer]
    mask: torch.Tensor

    @classmethod
    def empty(cls) -> _Batch:
        return cls([], [], torch.zeros((0, 0), dtype=torch.long))

    @classmethod
    def of(cls, rows: list[_Row], prefix: Prefix) -> _Batch:
        return cls(rows, [_Layer(*layer) for layer in prefix.layers], prefix.mask)

    def keep(self, places: list[int]) -> _Batch:
        """Keep the rows at these indices, and drop columns in which all of them are padding."""
        if not places:
            return _Batch.empty()
        index = torch.tensor(places, device=self.mask.device)
        mask = self.mask[index]
        start = int(mask.any(dim=0).int().argmax())
        for number, layer in enumerate(self.layers):  # layers may be on different devices
            here = index.to(layer.keys.device)
            self.layers[number] = _Layer(
                layer.keys[:, :, start:][here], layer.values[:, :, start:][here]
            )
        return _Batch([self.rows[i] for i in places], self.layers, mask[:, start:])

    def join(self, other: _Batch) -> _Batch:
        """Return a batch with the rows of both, padded to the same length."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        length = max(self.mask.shape[1], other.mask.shape[1])
        for number, layers in enumerate(zip(self.layers, other.layers, strict=True)):
            self.layers[number] = _Layer(
                torch.cat([_widen(layer.keys, length) for layer in layers]),
                torch.cat([_widen(layer.values, length) for layer in layers]),
            )
        masks = [pad(each.mask, (length - each.mask.shape[1], 0)) for each in (self, other)]
        return _Batch(self.rows + other.rows, self.layers, torch.cat(masks))


def _widen(states: torch.Tensor, length: int) -> torch.Tensor:
    """Pad keys or values on the left to a length in tokens."""
    return pad(states, (0, 0, length - states.shape[2], 0))
