"""Continue texts with the keys and values of every layer: a step reads one token per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad
from transformers.cache_utils import Cache, DynamicLayer

from scruple.engines.forward import Forward, Prefix, takes
from scruple.engines.prefix_tree import Tokens
from scruple.engines.stepping import Row

_ROOM = 32
"""The number of tokens by which key and value buffers grow at a time."""


class Cached:
    """Continue rows with their keys and values; see `scruple.engines.stepping.Steps`."""

    def __init__(self, model: Any, forward: Forward) -> None:
        """Wrap a model.

        Args:
            model: a causal language model in evaluation mode.
            forward: the forward pass to use for prompts.
        """
        self._model = model
        self._forward = forward
        self._device = model.get_input_embeddings().weight.device
        self._places = takes(model, "position_ids")

    def empty(self) -> _Batch:
        """See `Steps.empty`."""
        return _Batch.empty()

    def start(self, rows: Sequence[Row]) -> Iterator[tuple[_Batch, torch.Tensor]]:
        """See `Steps.start`. Prompts are read in batches, each distinct prompt once."""
        by_prompt: dict[Tokens, list[Row]] = {}
        for row in rows:
            by_prompt.setdefault(row.prompt, []).append(row)
        for prompts in self._forward.batches(list(by_prompt)):
            repeats = [len(by_prompt[prompt]) for prompt in prompts]
            prefix = self._forward.prefix(prompts, repeats)
            read = [row for prompt in prompts for row in by_prompt[prompt]]
            yield _Batch.of(read, prefix), prefix.logits

    def step(self, batch: _Batch) -> torch.Tensor:
        """See `Steps.step`. The last token of each row extends the batch."""
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

    rows: list[Any]
    layers: list[_Layer]
    mask: torch.Tensor

    @classmethod
    def empty(cls) -> _Batch:
        return cls([], [], torch.zeros((0, 0), dtype=torch.long))

    @classmethod
    def of(cls, rows: list[Row], prefix: Prefix) -> _Batch:
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
