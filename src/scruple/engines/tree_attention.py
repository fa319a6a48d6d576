"""Attention over prefix trees: spans of nodes that look only at what any of them sees.

A mask over a whole pack would cost its length squared, nearly all of it for pairs that do not see
each other. A span of a hundred nodes sees little more than itself and the path to it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from scruple.engines.prefix_tree import Span

NAME = "prefix_tree"
"""What the attention is called among those that transformers knows."""


class Sight:
    """What the nodes of a pack see, on whatever devices the model's layers lie."""

    def __init__(self, spans: tuple[Span, ...]) -> None:
        """Prepare the spans of a pack, which follow one another from its first node to its last."""
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
    """Attend as `sdpa` does, or to what `sight` shows; tensors as there: (rows, heads, length, …).

    Returns:
        The output, shape (rows, length, heads, size of a head), and no weights.
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
