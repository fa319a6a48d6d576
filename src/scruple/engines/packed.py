"""Packed prefix trees: the way through a model that computes no token twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from scruple.engines import tree_attention
from scruple.engines.forward import Logits, Position, Prefix, left_mask
from scruple.engines.prefix_tree import Pack, Tokens, join_packs, make_pack, plan_packs


class Packed:
    """Prefix trees: every distinct token of a pack once, logits only where they are read."""

    name = "packed prefix trees"

    def __init__(self, model: Any, pack_tokens: int, at_once: int = 1) -> None:
        """Wrap a model, whose attention from then on can read trees.

        Args:
            model: a causal language model in evaluation mode.
            pack_tokens: the most nodes of a pack.
            at_once: packs of a batch.

        Raises:
            ValueError: if the model's attention cannot be exchanged.
        """
        model.set_attn_implementation(tree_attention.NAME)
        self._model = model
        self._budget = pack_tokens
        self._at_once = at_once
        self._device = model.get_input_embeddings().weight.device

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut sequences into packs, and take some at once; see `Forward.batches`."""
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
        """See `Forward.prefix`. What the prompts share is computed once, then copied."""
        pack = self._pack(batch)
        paths = [
            path for path, times in zip(pack.paths, repeats, strict=True) for _ in range(times)
        ]
        (values, index), cache = self._run(pack, np.array([path[-1] for path in paths]), True)
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
        """Return the trees of a batch: packs do not depend on how many are read at once."""
        return join_packs([make_pack(pack) for pack in plan_packs(batch, self._budget)])

    def _run(self, pack: Pack, nodes: np.ndarray, use_cache: bool) -> tuple[Logits, Any]:
        """Return the logits after some nodes, and the cache of all."""
        kept, where = np.unique(nodes, return_inverse=True)
        output = self._model(
            input_ids=torch.from_numpy(pack.tokens)[None].to(self._device),
            position_ids=torch.from_numpy(pack.depths)[None].to(self._device),
            # a mask of four dimensions is passed on as it is; attention looks at `sight` instead
            attention_mask=torch.zeros((1, 1, 1, 1), device=self._device),
            logits_to_keep=torch.from_numpy(kept).to(self._device),
            use_cache=use_cache,
            sight=tree_attention.Sight(pack.spans),
        )
        values = output.logits[0]
        return Logits(values, torch.from_numpy(where).to(values.device)), output.past_key_values
