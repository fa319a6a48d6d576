"""Choose the forward pass: packed prefix trees if they give the same results as plain batches."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from scruple.engines.forward import Forward, Logits, Position, takes
from scruple.engines.packed import Packed
from scruple.engines.plain import Plain
from scruple.engines.prefix_tree import Tokens

log = logging.getLogger(__name__)

PACK = 2048
"""The most nodes of a pack. Packs repeat the prefixes that they share, so they should be large."""
_TOLERANCE = {torch.float32: 1e-3}
_ROUGH = 0.1
"""The largest allowed difference between packed and plain log-probabilities, relative to their
standard deviation: `_TOLERANCE` in float32, `_ROUGH` in other formats."""


def choose_forward(model: Any, batch_tokens: int, at_once: int = 0) -> Forward:
    """Return packed prefix trees if their results match those of plain batches, else the latter.

    Not every architecture accepts custom positions and attention (ALiBi has no positions, and some
    models count them from the mask), so both are compared on a few sequences with shared prefixes.

    Args:
        model: a causal language model in evaluation mode.
        batch_tokens: the most tokens of a plain batch, and an upper limit for a pack.
        at_once: the number of tokens that may be read at once, if more than one pack.
    """
    plain = Plain(model, batch_tokens)
    if not (takes(model, "position_ids") and takes(model, "logits_to_keep")):
        log.info("plain batches: the model takes no positions, or keeps all logits")
        return plain
    if _has_windows(model.config.get_text_config()):
        log.info("plain batches: the model's attention does not reach over the whole text")
        return plain
    batch, places = _branching(int(model.get_input_embeddings().weight.shape[0]))
    expected = _log_softmax(plain.read(batch, places))
    allowed = _TOLERANCE.get(model.dtype, _ROUGH) * float(expected.std(dim=-1).mean())
    before = model.config._attn_implementation
    try:
        pack = min(PACK, batch_tokens)
        packed = Packed(model, pack, max(1, at_once // pack))
        found = _log_softmax(packed.read(batch, places))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        log.info("packed prefix trees fail (%s: %s)", type(error).__name__, error)
    else:
        difference = float((found - expected).abs().max())
        if difference <= allowed:
            return packed
        log.info("packed prefix trees differ from plain batches by %.2g in log p", difference)
    model.set_attn_implementation(before)
    log.info("plain batches: the model cannot read packed prefix trees")
    return plain


def _log_softmax(logits: Logits) -> torch.Tensor:
    return torch.log_softmax(logits.values[logits.index].float(), dim=-1)


def _has_windows(config: Any) -> bool:
    """Return whether some layer attends to only part of the text; short tests cannot show this."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds) != {"full_attention"}
    return getattr(config, "sliding_window", None) is not None


def _branching(words: int) -> tuple[list[Tokens], list[Position]]:
    """Return sorted test sequences with shared prefixes, and all positions in them."""
    rng = np.random.default_rng(0)
    trunk = tuple(int(token) for token in rng.integers(words, size=7))
    ends = [tuple(int(token) for token in rng.integers(words, size=n)) for n in (1, 3, 5, 4)]
    rows = {trunk, *(trunk + end for end in ends[:3]), trunk[:3] + ends[3]}
    batch = sorted(rows)
    return batch, [(row, place) for row in range(len(batch)) for place in range(len(batch[row]))]
