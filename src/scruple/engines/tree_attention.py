"""Attention over prefix trees, span by span; each span reads only the keys that it needs.

A mask over a whole pack costs the square of its length, almost all of it for pairs of nodes that do
not attend to each other. A span of about a hundred nodes needs little more than its own nodes and
their ancestors. In a layer with a sliding window, a node attends only to the ancestors that are
fewer levels above it than the window is long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from scruple.engines.prefix_tree import Pack

_SDPA, _EAGER = "prefix_tree", "prefix_tree_eager"
"""The names under which this attention is registered with transformers: over `sdpa`, and over the
model's own attention where that does more than `sdpa` can (Gemma 2 caps its scores)."""

Part = tuple[int, int, torch.Tensor, torch.Tensor]
"""Start and stop of a span, its keys (K,), and what each node sees of them (1, 1, stop - start, K).
"""


def implementation_of(model: Any) -> str:
    """Return the name of the attention that a model's layers use for text."""
    name: str = model.config.get_text_config()._attn_implementation
    return name


def name_over(implementation: str) -> str:
    """Return the name of the attention over trees that computes like a given implementation."""
    return _EAGER if implementation in ("eager", _EAGER) else _SDPA


class Sight:
    """What the nodes of a pack attend to, with copies on each device that has model layers."""

    def __init__(self, pack: Pack) -> None:
        """Take a pack; its spans follow each other without gaps from its first node to its last."""
        self._pack = pack
        self._longest = int(pack.depths.max()) + 1
        self._on: dict[tuple[torch.device, int], list[Part]] = {}

    def on(self, device: torch.device, window: int | None = None) -> list[Part]:
        """Return the parts of the pack on a device.

        Args:
            device: where to put keys and masks.
            window: the number of levels of the tree that a node sees, its own included; None for
                all. The same as transformers' sliding windows: query − key < window.
        """
        seen = min(window or self._longest, self._longest)
        if (device, seen) not in self._on:
            self._on[device, seen] = list(self._parts(device, seen))
        return self._on[device, seen]

    def _parts(self, device: torch.device, window: int) -> Iterator[Part]:
        depths = self._pack.depths
        for span in self._pack.spans:
            keys, visible = span.keys, span.visible
            if window < self._longest:
                visible = visible & (
                    depths[span.start : span.stop, None] - depths[keys][None] < window
                )
                kept = visible.any(axis=0)
                keys, visible = keys[kept], visible[:, kept]
            yield (
                span.start,
                span.stop,
                torch.from_numpy(keys).to(device),
                torch.from_numpy(visible)[None, None].to(device),
            )


def _over(own_of: Callable[[torch.nn.Module], Any], additive: bool) -> Callable[..., Any]:
    """Return an attention that applies another one to each span of `sight` in turn.

    Without `sight` it is the other attention, whose mask already says what a sliding window leaves.
    Query, key and value have shape (rows, heads, length, head size).

    Args:
        own_of: returns the other attention for a module of the model.
        additive: whether its mask is added to the scores; else it is true where a key is seen.

    Returns:
        A function that returns the output, shape (rows, length, heads, head size), and None instead
        of attention weights.
    """

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        sight: Sight | None = None,
        sliding_window: int | None = None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        own = partial(own_of(module), module, sliding_window=sliding_window, **options)
        if sight is None:
            return own(query, key, value, attention_mask)[0], None
        outputs = []
        for start, stop, keys, visible in sight.on(query.device, sliding_window):
            mask = _added(visible, query.dtype) if additive else visible
            states = query[:, :, start:stop], key[:, :, keys], value[:, :, keys]
            outputs.append(own(*states, mask)[0])
        return torch.cat(outputs, dim=1), None

    return attention


def _added(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a mask to be added to scores: 0 for visible keys, the lowest number for others."""
    zeros = torch.zeros_like(visible, dtype=dtype)
    return zeros.masked_fill(~visible, torch.finfo(dtype).min)


def _eager(module: torch.nn.Module) -> Any:
    """Return the attention of the module that defines a model."""
    return sys.modules[type(module).__module__].eager_attention_forward


AttentionInterface.register(_SDPA, _over(lambda module: sdpa_attention_forward, additive=False))
AttentionMaskInterface.register(_SDPA, sdpa_mask)
AttentionInterface.register(_EAGER, _over(_eager, additive=True))
AttentionMaskInterface.register(_EAGER, eager_mask)
