"""The number of parameters of a checkpoint, computed from its architecture's dimensions.

Parameters are counted as transformers creates them, so a plan needs neither network nor weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from scruple.study.types import Strict

Positive = Annotated[int, Field(gt=0)]


_KINDS = {
    "gpt_neox": "neox", "llama": "llama", "qwen2": "qwen2", "olmo2": "olmo2", "bloom": "bloom",
    "gemma3": "gemma3", "gemma3_text": "gemma3",
}  # fmt: skip
"""`model_type` of transformers → `kind` of a shape."""
_DEFAULTS: dict[str, dict[str, Any]] = {
    "bloom": {"tie_word_embeddings": True},
    "gemma3": {
        "num_hidden_layers": 26, "hidden_size": 2304, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 9216,
        "vocab_size": 262_208, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""`kind` → what transformers assumes if a config.json does not say it; the published ones of
Gemma 3 leave out whatever is the same as in this list."""


class Shape(Strict):
    """The dimensions of a decoder, which determine its size."""

    kind: Literal["neox", "llama", "qwen2", "olmo2", "bloom", "gemma3"]
    """The architecture, which decides how parameters are counted."""
    layers: Positive
    """The number of decoder layers."""
    width: Positive
    """The size of the hidden state."""
    heads: Positive
    """The number of attention heads."""
    kv_heads: Positive | None = None
    """The number of key and value heads; by default the same as `heads`."""
    head_width: Positive | None = None
    """The size of an attention head; by default width / heads."""
    mlp: Positive | None = None
    """The size of the feed-forward layer; by default 4 × width."""
    vocab: Positive
    """The number of rows of the embedding matrix."""
    tied: bool = False
    """Whether the output layer shares the weights of the embedding."""
    extra: Annotated[int, Field(ge=0)] = 0
    """The number of parameters that are loaded with the decoder but read no text, such as those of
    a vision tower."""

    def embedding(self) -> int:
        """Return the number of parameters of the embedding and the output layer."""
        return self.vocab * self.width * (1 if self.tied else 2)

    def body(self) -> int:
        """Return the number of the decoder's other parameters, its non-embedding parameters."""
        d, f = self.width, self.mlp or 4 * self.width
        if self.kind in ("neox", "bloom"):
            # weights and biases of two norms, of attention (d → 3d → d) and of two linear layers
            block = 4 * d + 4 * d * d + 4 * d + 2 * d * f + f + d
            return self.layers * block + (2 if self.kind == "neox" else 4) * d
        head = self.head_width or d // self.heads
        queries, keys = self.heads * head, (self.kv_heads or self.heads) * head
        block = 2 * d * queries + 2 * d * keys + 3 * d * f + 2 * d
        if self.kind == "qwen2":
            block += queries + 2 * keys  # biases
        if self.kind == "olmo2":
            block += queries + keys  # query and key norms
        if self.kind == "gemma3":
            block += 2 * d + 2 * head  # two more norms; query and key norms, one head wide
        return self.layers * block + d

    def params(self) -> int:
        """Return the total number of parameters."""
        return self.body() + self.embedding() + self.extra

    def cache_per_token(self) -> int:
        """Return how many numbers each token adds to the KV cache."""
        head = self.head_width or self.width // self.heads
        return 2 * self.layers * (self.kv_heads or self.heads) * head

    @property
    def packed(self) -> bool:
        """Whether the transformers engine reads a beginning that texts share only once.

        It does not if positions cannot be given (ALiBi); see `scruple.engines.choose`.
        """
        return self.kind != "bloom"

    def operations_per_token(self) -> int:
        """Return the floating-point operations for one token, in products with weights.

        There are two per weight (Kaplan et al. 2020, "Scaling Laws for Neural Language Models").
        The output layer is not counted, because it is computed only at the end of a prompt. Nor are
        the products within attention, which involve no weights.
        """
        return 2 * self.body()


def read_shape(path: Path, params: int) -> Shape | None:
    """Return the shape given by a checkpoint's config.json; None if it is missing or incomplete.

    An unknown architecture is treated like Llama, which most resemble. If the decoder is one part
    of several (its dimensions are then under `text_config`), the others have the parameters that
    it lacks.

    Args:
        path: the config.json.
        params: the checkpoint's total number of parameters, as stated in its family.
    """
    if not path.is_file():
        return None
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        text = whole.get("text_config", whole)
        kind = _KINDS.get(text.get("model_type") or whole["model_type"], "llama")
        content = _DEFAULTS.get(kind, {}) | text
        shape = Shape.model_validate(
            {
                "kind": kind,
                "layers": content.get("num_hidden_layers") or content["n_layer"],
                "width": content["hidden_size"],
                "heads": content.get("num_attention_heads") or content["n_head"],
                "kv_heads": content.get("num_key_value_heads"),
                "head_width": content.get("head_dim"),
                "mlp": content.get("intermediate_size"),
                "vocab": content["vocab_size"],
                "tied": whole.get("tie_word_embeddings", content.get("tie_word_embeddings", False)),
            }
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    if text is whole:
        return shape
    return shape.model_copy(update={"extra": max(0, params - shape.params())})
