"""Whether a checkpoint's config is that of a causal language model."""

from __future__ import annotations

from typing import Any

_ALWAYS_DECODERS = ("gpt_neox", "gpt_neox_japanese")
"""Types of models that have `is_decoder` in their config and do not use it."""


class NotCausal(Exception):
    """The config is of another kind of model; the message says why."""


def check_causal(config: Any) -> None:
    """Raise `NotCausal` unless a config is that of a causal language model."""
    from transformers import AutoModelForCausalLM

    kind = f"its config has `model_type: {config.model_type}`"
    if getattr(config, "is_encoder_decoder", False):
        raise NotCausal(f"{kind}, an encoder-decoder")
    if "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise NotCausal(f"{kind}, for which transformers has none")
    # only where the class has the field: old versions wrote it for every model
    flag = "is_decoder" in getattr(type(config), "__dataclass_fields__", {})
    if flag and not config.is_decoder and config.model_type not in _ALWAYS_DECODERS:
        raise NotCausal(f"{kind} and `is_decoder: false`, so it reads texts in both directions")
