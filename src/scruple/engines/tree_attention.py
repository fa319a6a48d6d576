"""Attention over prefix trees, span by span; each span reads only the keys that it needs.

A mask over a whole pack costs the square of its length, almost all of it for pairs of nodes that do
not attend to each other. A span of about a hundred nodes needs little more than its own nodes and
their ancestors.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from scruple.engines.prefix_tree import Span

NAME = "prefix_tree"
"""The name under which this attention is registered with transformers."""


class Sight:
    """What the nodes of a pack attend to, with copies on each device that has model layers."""

    def __init__(self, spans: tuple[Span, ...]) -> None:
        """Take the spans of a pack, in order and without gaps from its first node to its last."""
        self._spans = spans
        self._on: dict[torch.device, list[tuple[int, int, torch.Tensor, torch.Tensor]]] = {}

    def on(self, device: torch.device) -> list[tuple[int, int, torch.Tensor, torch.Tensor]]:
        """Return start, stop, keys (K,) and mask (1, 1, stop - start, K) of each span."""
        if device not in self._on:
            self._on[device] = [
                (
                    span.start,
                    span.stop,
                    torch.from_numpy(span.keys).to(device),
                    torch.from_numpy(span.visible)[None, None].to(device),
                )
                for span in self._spans
            ]
        return self._on[device]


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    sight: Sight | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Apply transformers' `sdpa` attention; if `sight` is given, to each of its spans in turn.

    Query, key and value have shape (rows, heads, length, head size), as for `sdpa`.

    Returns:
        The output, shape (rows, length, heads, head size), and None instead of attention weights.
    """
    if sight is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return output, None
    parts = [
        sdpa_attention_forward(
            module, query[:, :, start:stop], key[:, :, keys], value[:, :, keys], mask, **options
        )[0]
        for start, stop, keys, mask in sight.on(query.device)
    ]
    return torch.cat(parts, dim=1), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
