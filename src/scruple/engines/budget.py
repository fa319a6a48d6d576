"""How many tokens run at once: planned from the checkpoint's size, limited by free memory."""

from __future__ import annotations

from typing import Any

import torch

_FEWEST, _MOST = 8192, 131_072
"""Tokens at once by default: fewer leave a processor idle, more do not make it faster."""
_ACTIVATIONS = 12
"""Numbers of the model's width that reading a token holds at the worst moment, roughly."""


def bytes_per_token(model: Any) -> int:
    """Return about how much memory a token takes while a model reads or continues it.

    That is the larger of its keys and values in all layers and of one layer's activations.
    """
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    cached = 2 * config.num_hidden_layers * kept * size
    return int(max(cached, _ACTIVATIONS * config.hidden_size) * model.dtype.itemsize)


def default_tokens(model: Any) -> int:
    """Return a budget of tokens that depends on the checkpoint alone.

    They may take half as much memory as the weights do, between two bounds.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return int(min(max(weights / 2 / bytes_per_token(model), _FEWEST), _MOST))


def tokens_at_once(model: Any, budget: int | None, free: int | None) -> int:
    """Return how many tokens may run at once.

    Args:
        model: the model.
        budget: tokens that the config allows; None to leave it to the checkpoint and the memory.
        free: free memory of the GPU in bytes; None on a CPU, which gains nothing from more.
    """
    if free is None:
        return budget or default_tokens(model)
    fitting = int(free / 2 / bytes_per_token(model))
    return max(1, min(budget or _MOST, fitting))


def free_memory(model: Any) -> int | None:
    """Return the free bytes on the GPUs that a model lies on, of the fullest one; None on a CPU."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return min((torch.cuda.mem_get_info(device)[0] for device in devices), default=None)
