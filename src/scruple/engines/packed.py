"""Packed prefix trees: a forward pass that computes shared prefixes once per pack."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from scruple.engines import tree_attention
from scruple.engines.forward import Logits, Position, Prefix, left_mask
from scruple.engines.prefix_tree import Pack, Tokens, join_packs, make_pack, plan_packs


class Packed:
    """Read sequences as prefix trees: each node once, logits only where they are needed."""

    name = "packed prefix trees"

    def __init__(self, model: Any, pack_tokens: int, at_once: int = 1) -> None:
        """Wrap a model and replace its attention by one that supports trees.

        Args:
            model: a causal language model in evaluation mode.
            pack_tokens: the most nodes of a pack.
            at_once: the number of packs in a batch.

        Raises:
            ValueError: if the model's attention cannot be replaced.
        """
        before = tree_attention.implementation_of(model)
        model.set_attn_implementation(tree_attention.name_over(before))
        self._model = model
        self._budget = pack_tokens
        self._at_once = at_once
        self._device = model.get_input_embeddings().weight.device

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut sequences into packs and join several per batch; see `Forward.batches`."""
        packs = plan_packs(rows, self._budget)
        while some := list(itertools.islice(packs, self._at_once)):
            yield [row for pack in some for row in pack]

    @torch.inference_mode()
    def read(self, batch: Sequence[Tokens], places: Sequence[Position]) -> Logits:
        """See `Forward.read`."""
        pack = self._pack(batch)
        nodes = np.array([pack.paths[row][position] for row, position in places])
        return self._run(pack, nodes, False)[0]

    @torch.inference_mode()
    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """See `Forward.prefix`. Shared prefixes of a pack are computed once, then copied."""
        pack = self._pack(batch)
        paths = [
            path for path, times in zip(pack.paths, repeats, strict=True) for _ in range(times)
        ]
        (values, index, _), cache = self._run(pack, np.array([path[-1] for path in paths]), True)
        mask = left_mask([len(path) for path in paths])
        nodes = torch.zeros_like(mask)
        for number, path in enumerate(paths):
            nodes[number, -len(path) :] = torch.from_numpy(path)
        layers = []
        for layer in cache.layers:
            here = nodes.to(layer.keys.device)
            layers.append(
                (layer.keys[0][:, here].transpose(0, 1), layer.values[0][:, here].transpose(0, 1))
            )
        return Prefix(values[index], layers, mask.to(self._device))

    def _pack(self, batch: Sequence[Tokens]) -> Pack:
        """Return the packs of a batch as one; each is the same however many are read at once."""
        return join_packs([make_pack(pack) for pack in plan_packs(batch, self._budget)])

    def _run(self, pack: Pack, nodes: np.ndarray, use_cache: bool) -> tuple[Logits, Any]:
        """Return the logits after some nodes, and the cache of all nodes if `use_cache`."""
        kept, where = np.unique(nodes, return_inverse=True)
        output = self._model(
            input_ids=torch.from_numpy(pack.tokens)[None].to(self._device),
            position_ids=torch.from_numpy(pack.depths)[None].to(self._device),
            # transformers passes a 4D mask on unchanged; the attention uses `sight` instead
            attention_mask=torch.zeros((1, 1, 1, 1), device=self._device),
            logits_to_keep=torch.from_numpy(kept).to(self._device),
            use_cache=use_cache,
            # a model's default cache may drop keys that are outside a window of the row
            past_key_values=DynamicCache() if use_cache else None,
            sight=tree_attention.Sight(pack),
        )
        values = output.logits[0]
        index = torch.from_numpy(where).to(values.device)
        return Logits(values, index, self._model.dtype), output.past_key_values
