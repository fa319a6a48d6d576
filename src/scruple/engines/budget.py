"""How many tokens to process at once, from the checkpoint's size and the free memory."""

from __future__ import annotations

import math
from typing import Any

import torch

_FEWEST, _MOST = 8192, 131_072
"""Limits of the default: fewer tokens do not keep the processor busy, more are no faster."""
_SCANS = 3
"""The number of such arrays that a recurrent layer holds at once."""
_ACTIVATIONS = 12
"""Approximate peak number of activations per token in one layer, in multiples of hidden_size."""


def bytes_per_token(model: Any) -> int:
    """Return the approximate bytes of memory per token while a model reads or continues a text.

    This is the larger of its keys and values in all layers and the activations of one layer.
    """
    config = model.config.get_text_config()
    heads = _first(config, "num_attention_heads")
    size = _first(config, "head_dim") or (config.hidden_size // heads if heads else 0)
    kept = _first(config, "num_key_value_heads") or heads
    cached = 2 * config.num_hidden_layers * kept * size
    numbers = max(cached, _ACTIVATIONS * config.hidden_size)
    return int(max(numbers * model.dtype.itemsize, _scanned(config)))


def _scanned(config: Any) -> int:
    """Return the bytes per token of what a recurrent layer without kernels of its own computes.

    Mamba has a state per inner channel, Mamba 2 per head the states and the scores of a chunk; both
    are computed in float32 (`mamba_selective_scan` and `mamba2_chunk_scan` in transformers).
    """
    state = _first(config, "state_size", "mamba_d_state", "ssm_state_size")
    chunk = _first(config, "chunk_size", "mamba_chunk_size")
    heads = _first(config, "num_heads", "mamba_n_heads", "mamba_num_heads", "n_mamba_heads")
    if state and chunk and heads:
        return _SCANS * 4 * heads * (chunk + state)
    return _SCANS * 4 * state * config.hidden_size * (_first(config, "expand", "mamba_expand") or 2)


def _first(config: Any, *names: str) -> int:
    """Return the first of some values that a config has, rounded up; 0 if it has none."""
    for name in names:
        try:
            value = getattr(config, name, None)
        except RuntimeError:  # it differs from layer to layer
            value = max(getattr(layer, name, None) or 0 for layer in config.per_layer_config)
        if isinstance(value, int | float) and value:
            return math.ceil(value)
    return 0


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
