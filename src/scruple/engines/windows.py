"""Find the sliding window of each layer of a model, and check that its attention gets it.

In a prefix tree, positions in the row say nothing about distances in the text, so transformers'
masks cannot be used there, and the attention must know the window. Most models pass it as
`sliding_window`; others have it in their masks only. A wrong window shows only in texts longer than
the window, which can be thousands of tokens. So the model runs once on three tokens with a mask
that carries its window as a number, and records the window and the mask that each layer passes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from scruple.engines.self_test import Failed
from scruple.engines.tree_attention import implementation_of

_NAME = "window_probe"
"""The name under which the probe is registered with transformers."""
_KNOWN = {"full_attention", "sliding_attention"}
"""The kinds of layers whose view of a tree is known."""
_FULL, _OTHER = 0, -1
"""What a mask carries if it has no window, or is anything but causal with a window."""


def windows_of(model: Any) -> set[int]:
    """Return the lengths of a model's sliding windows in tokens; empty if it has none.

    Args:
        model: a causal language model in evaluation mode, whose `forward` takes `use_cache`.

    Raises:
        Failed: if some layer reads other tokens by anything but attention to all earlier tokens
            or to a sliding window, or if its window is in its mask only.
    """
    config = model.config.get_text_config()
    unknown = set(getattr(config, "layer_types", None) or ()) - _KNOWN
    if unknown:
        raise Failed(f"it has layers of kind {', '.join(sorted(unknown))}")
    seen = _probe(model)
    attending = len({layer for layer, _, _ in seen})
    if attending != config.num_hidden_layers:
        raise Failed(f"{attending} of its {config.num_hidden_layers} layers have attention")
    for _, passed, given in seen:
        if given is None or given == _OTHER:
            raise Failed("its attention masks are of another kind")
        if (passed or _FULL) != given:
            raise Failed(f"a layer passes on a window of {passed}, and its mask has one of {given}")
    return {given for _, _, given in seen if given is not None and given != _FULL}


_Seen = tuple[int, int | None, int | None]
"""The identity of an attention module, the window passed to it, and the window of its mask."""


def _probe(model: Any) -> list[_Seen]:
    """Return the window and the mask that each layer passes to its attention."""
    before = implementation_of(model)
    device = model.get_input_embeddings().weight.device
    ids = torch.zeros((1, 3), dtype=torch.long, device=device)
    seen: list[_Seen] = []
    model.set_attn_implementation(_NAME)
    try:
        with torch.inference_mode():
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, seen=seen)
    finally:
        model.set_attn_implementation(before)
    return seen


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    seen: list[_Seen] | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Record the window and the mask; return zeros as the layer's output."""
    if seen is None:
        raise Failed("its layers pass no arguments on to their attention")
    given = None
    if attention_mask is not None and attention_mask.numel() == 1:
        given = int(attention_mask)
    seen.append((id(module), sliding_window, given))
    rows, heads, length, _size = query.shape
    return query.new_zeros((rows, length, heads, value.shape[-1])), None


def _mask(
    *,
    mask_function: Callable[..., torch.Tensor],
    local_size: int | None = None,
    device: torch.device | str = "cpu",
    **_: Any,
) -> torch.Tensor:
    """Return a mask of a single value: the window of the function that would make the mask."""
    window = local_size if local_size is not None else _FULL
    if not _is_window(mask_function, window):
        window = _OTHER
    return torch.full((1, 1, 1, 1), float(window), device=device)


def _is_window(mask_function: Callable[..., torch.Tensor], window: int) -> bool:
    """Return whether a function lets a token see itself and the tokens before it in a window."""
    zero = torch.tensor(0)
    for last in (3 * window + 1, 10 * window + 100_003):
        first = last - window + 1 if window != _FULL else 0
        places = torch.tensor([0, first - 1, first, last - 1, last, last + 1])
        expected = (first <= places) & (places <= last)
        kept = places >= 0
        found = torch.stack([
            mask_function(zero, zero, torch.tensor(last), place) for place in places[kept]
        ])  # fmt: skip
        if not bool((found.cpu() == expected[kept]).all()):
            return False
    return True


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, _mask)
