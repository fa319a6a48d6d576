"""How large a checkpoint is, from its architecture's numbers alone.

Weights are counted as transformers builds them, so that a plan needs neither network nor weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from scruple.study.types import Strict

Positive = Annotated[int, Field(gt=0)]


_KINDS = {"gpt_neox": "neox", "llama": "llama", "qwen2": "qwen2", "olmo2": "olmo2",
          "bloom": "bloom"}  # fmt: skip
"""Model types of transformers → kinds of shapes."""


class Shape(Strict):
    """The numbers that decide a decoder's size."""

    kind: Literal["neox", "llama", "qwen2", "olmo2", "bloom"]
    """The architecture."""
    layers: Positive
    """The number of blocks."""
    width: Positive
    """The width of the hidden state."""
    heads: Positive
    """The number of attention heads."""
    kv_heads: Positive | None = None
    """The number of heads of keys and values; by default as many as `heads`."""
    head_width: Positive | None = None
    """The width of a head; by default width / heads."""
    mlp: Positive | None = None
    """The width of the feed-forward part; by default 4 × width."""
    vocab: Positive
    """The rows of the embedding."""
    tied: bool = False
    """Whether the output shares the embedding's weights."""

    def embedding(self) -> int:
        """Return the parameters of embedding and output."""
        return self.vocab * self.width * (1 if self.tied else 2)

    def body(self) -> int:
        """Return the parameters of everything else: what the published sizes call non-embedding."""
        d, f = self.width, self.mlp or 4 * self.width
        if self.kind in ("neox", "bloom"):
            # weights and biases of two norms, attention (d → 3d → d) and two linear layers
            block = 4 * d + 4 * d * d + 4 * d + 2 * d * f + f + d
            return self.layers * block + (2 if self.kind == "neox" else 4) * d
        head = self.head_width or d // self.heads
        queries, keys = self.heads * head, (self.kv_heads or self.heads) * head
        block = 2 * d * queries + 2 * d * keys + 3 * d * f + 2 * d
        if self.kind == "qwen2":
            block += queries + 2 * keys  # biases
        if self.kind == "olmo2":
            block += queries + keys  # norms of queries and keys
        return self.layers * block + d

    def params(self) -> int:
        """Return all parameters."""
        return self.body() + self.embedding()

    def cache_per_token(self) -> int:
        """Return how many numbers a token leaves in the cache of keys and values."""
        head = self.head_width or self.width // self.heads
        return 2 * self.layers * (self.kv_heads or self.heads) * head

    def operations_per_token(self) -> int:
        """Return the floating-point operations of the weights' products for one token.

        Two per weight (Kaplan et al. 2020, "Scaling Laws for Neural Language Models"), the output's
        left out: it is computed at a prompt's end only. Attention's own products are not counted.
        """
        return 2 * self.body()


def read_shape(path: Path) -> Shape | None:
    """Return the shape that a checkpoint's config.json gives; None if it gives none.

    An architecture of another kind is read as that of a Llama, which most are like.
    """
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return Shape.model_validate(
            {
                "kind": _KINDS.get(content["model_type"], "llama"),
                "layers": content.get("num_hidden_layers") or content["n_layer"],
                "width": content["hidden_size"],
                "heads": content.get("num_attention_heads") or content["n_head"],
                "kv_heads": content.get("num_key_value_heads"),
                "head_width": content.get("head_dim"),
                "mlp": content.get("intermediate_size"),
                "vocab": content["vocab_size"],
                "tied": content.get("tie_word_embeddings", False),
            }
        )
    except (KeyError, ValueError):
        return None
