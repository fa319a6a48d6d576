"""Plain batches: a forward pass that works with every architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from scruple.engines.forward import Logits, Position, Prefix, left_mask, takes
from scruple.engines.prefix_tree import Tokens


class Plain:
    """Read sequences in batches of similar length, padded on the right.

    For prefixes, which are continued, padding is on the left.
    """

    def __init__(self, model: Any, batch_tokens: int, padded: bool = True) -> None:
        """Wrap a model.

        Args:
            model: a causal language model in evaluation mode.
            batch_tokens: the most tokens of a batch, padding included.
            padded: whether sequences of different lengths may be in one batch; if not, each is in
                a batch of its own.
        """
        self.name = "plain batches" if padded else "one text at a time"
        self._model = model
        self._budget = batch_tokens if padded else 0
        self._device = model.get_input_embeddings().weight.device
        self._takes = {
            name for name in ("attention_mask", "logits_to_keep", "position_ids")
            if takes(model, name)
        }  # fmt: skip
        if takes(model, "use_cache") or takes(model, "kwargs"):  # some only pass it on
            self._takes.add("use_cache")

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Sort sequences, longest first, and cut them into batches; see `Forward.batches`."""
        batch: list[Tokens] = []
        for row in sorted(rows, key=lambda row: (-len(row), row)):
            if batch and len(batch[0]) * (len(batch) + 1) > self._budget:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    @torch.inference_mode()
    def read(self, batch: Sequence[Tokens], places: Sequence[Position]) -> Logits:
        """See `Forward.read`. Causal attention never reaches the padding on the right."""
        width = max(len(row) for row in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(batch):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        wanted = torch.tensor(places)
        start = int(wanted[:, 1].min())
        options = self._accepted(
            attention_mask=mask.to(self._device), use_cache=False, logits_to_keep=width - start
        )
        logits = self._model(input_ids=ids.to(self._device), **options).logits
        first = width - logits.shape[1]
        index = wanted[:, 0] * logits.shape[1] + wanted[:, 1] - first
        return Logits(logits.flatten(0, 1), index.to(logits.device), self._model.dtype)

    def _accepted(self, **options: Any) -> dict[str, Any]:
        """Return those of some arguments that the model's `forward` takes."""
        return {name: value for name, value in options.items() if name in self._takes}

    @torch.inference_mode()
    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """See `Forward.prefix`."""
        mask = left_mask([len(row) for row in batch]).to(self._device)
        ids = torch.zeros_like(mask)
        for number, row in enumerate(batch):
            ids[number, -len(row) :] = torch.tensor(row)
        options = self._accepted(
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0), logits_to_keep=1
        )
        # a model's default cache may keep a sliding window, which fails for rows of unequal length
        output = self._model(
            input_ids=ids, attention_mask=mask, use_cache=True, past_key_values=DynamicCache(),
            **options,
        )  # fmt: skip
        index = torch.repeat_interleave(torch.tensor(repeats)).to(self._device)
        layers = []
        for layer in output.past_key_values.layers:  # layers may be on different devices
            here = index.to(layer.keys.device)
            layers.append((layer.keys[here], layer.values[here]))
        return Prefix(output.logits[:, -1][index.to(output.logits.device)], layers, mask[index])
