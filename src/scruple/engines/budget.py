"""How many tokens to process at once, from the checkpoint's size and the free memory."""

from __future__ import annotations

from typing import Any

import torch

_FEWEST, _MOST = 8192, 131_072
"""Limits of the default: fewer tokens do not keep the processor busy, more are no faster."""
_ACTIVATIONS = 12
"""Approximate peak number of activations per token in one layer, in multiples of hidden_size."""


def bytes_per_token(model: Any) -> int:
    """Return the approximate bytes of memory per token while a model reads or continues a text.

    This is the larger of its keys and values in all layers and the activations of one layer.
    """
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    cached = 2 * config.num_hidden_layers * kept * size
    return int(max(cached, _ACTIVATIONS * config.hidden_size) * model.dtype.itemsize)


def default_tokens(model: Any) -> int:
    """Return a budget of tokens that depends only on the checkpoint.

    The tokens may use half as much memory as the weights, within `_FEWEST` and `_MOST`.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return int(min(max(weights / 2 / bytes_per_token(model), _FEWEST), _MOST))


def tokens_at_once(model: Any, budget: int | None, free: int | None) -> int:
    """Return how many tokens may be processed at once, on a GPU in at most half the free memory.

    Args:
        model: the model.
        budget: the limit from the config; None for `default_tokens` on a CPU and `_MOST` on a GPU.
        free: free memory of the GPU in bytes; None on a CPU, where more tokens are no faster.
    """
    if free is None:
        return budget or default_tokens(model)
    fitting = int(free / 2 / bytes_per_token(model))
    return max(1, min(budget or _MOST, fitting))


def free_memory(model: Any) -> int | None:
    """Return the free bytes of the fullest GPU that the model is on; None on a CPU."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return min((torch.cuda.mem_get_info(device)[0] for device in devices), default=None)
