"""Choose how a model is read and continued, by what gives the same results as the plainest way.

Texts are read as packed prefix trees if possible, else in plain batches; they are continued with
keys and values if possible, else by reading them anew.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

from scruple.engines.cached import Cached
from scruple.engines.forward import Forward, takes
from scruple.engines.packed import Packed
from scruple.engines.plain import Plain
from scruple.engines.prefix_tree import Tokens
from scruple.engines.rereading import Rereading
from scruple.engines.self_test import Failed, attempt, branching, compare, last_places, logprobs
from scruple.engines.stepping import Steps, check_steps
from scruple.engines.tree_attention import implementation_of
from scruple.engines.windows import windows_of
from scruple.errors import ScrupleError

log = logging.getLogger(__name__)

PACK = 2048
"""The most nodes of a pack. Packs repeat the prefixes that they share, so they should be large."""
_NEAR = 512
"""The longest window beyond which trees are compared with plain batches; texts that go beyond a
longer one would take too long to read."""
_LAST = 8
"""The number of last positions that are compared in long texts; vocabularies are large."""


def choose_forward(model: Any, batch_tokens: int, at_once: int = 0) -> Forward:
    """Return packed prefix trees if their results match those of plain batches, else the latter.

    Not every architecture accepts custom positions and attention (ALiBi has no positions, and some
    models count them from the mask), so both are compared on a few sequences with shared prefixes.

    Args:
        model: a causal language model in evaluation mode.
        batch_tokens: the most tokens of a plain batch, and an upper limit for a pack.
        at_once: the number of tokens that may be read at once, if more than one pack.

    Raises:
        ScrupleError: if the model cannot be read at all, or its logits are not finite.
    """
    plain = choose_plain(model, batch_tokens)
    before = implementation_of(model)
    try:
        with attempt():
            return _packed(model, plain, min(PACK, batch_tokens), at_once)
    except Failed as failure:
        log.info("%s: packed prefix trees cannot be used (%s)", plain.name, failure)
    model.set_attn_implementation(before)
    return plain


def choose_plain(model: Any, batch_tokens: int) -> Plain:
    """Return batches with padding if padding changes nothing, else batches of one row.

    Args:
        model: a causal language model in evaluation mode.
        batch_tokens: the most tokens of a batch.

    Raises:
        ScrupleError: if the model's forward pass fails, its logits are not finite, or what it
            predicts depends on later tokens.
    """
    batch = branching(model)
    single = Plain(model, batch_tokens, padded=False)
    rows = (min(batch, key=len), max(batch, key=len))
    try:
        with attempt():
            alone = [logprobs(single, [row], last_places([row], len(row))) for row in rows]
    except Failed as failure:
        raise ScrupleError(
            f"{_name(model)} cannot be read by transformers here ({failure}); {_REMEDY}"
        ) from None
    _check_causal(model, single, rows[1], alone[1])
    padded = Plain(model, batch_tokens)
    try:
        with attempt():
            together = logprobs(padded, list(rows), last_places(rows, len(rows[1])))
            compare(together, torch.cat(alone), model.dtype, rounding=True)
    except Failed as failure:
        log.warning("one text at a time, slowly: padding changes what is read (%s)", failure)
        return single
    return padded


def choose_steps(model: Any, forward: Forward) -> Steps:
    """Return steps with keys and values if they give what reading anew gives, else the latter.

    Args:
        model: a causal language model in evaluation mode.
        forward: the forward pass that reads its texts.
    """
    cached, rereading = Cached(model, forward), Rereading(forward)
    try:
        check_steps(model, cached, rereading)
    except Failed as failure:
        log.warning(
            "%s keeps other things than keys and values (%s): every new token reads its whole text "
            "again. A reasoning of 256 tokens takes as long as scoring 256 prompts; lower "
            "`decoding.max_new_tokens`, or leave conditions with reasoning out, if that is too "
            "slow.", type(model).__name__, failure,
        )  # fmt: skip
        return rereading
    return cached


_REMEDY = (
    "take a checkpoint of a decoder-only language model, try `compute.engine: vllm`, or leave this "
    "one out."
)


def _check_causal(model: Any, single: Plain, row: Tokens, whole: torch.Tensor) -> None:
    """Raise ScrupleError if a text's beginning is read differently when more of it follows."""
    half = row[: len(row) // 2]
    try:
        with attempt():
            found = logprobs(single, [half], last_places([half], len(half)))
            compare(found, whole[: len(half)], model.dtype, rounding=True)
    except Failed as failure:
        raise ScrupleError(
            f"{_name(model)} is not a causal language model: what it predicts after a token "
            f"changes with the tokens that follow ({failure}); {_REMEDY}"
        ) from None


def _name(model: Any) -> str:
    return f"the architecture {type(model).__name__} (`model_type: {model.config.model_type}`)"


def _packed(model: Any, plain: Plain, pack: int, at_once: int) -> Packed:
    """Return packed prefix trees.

    Raises:
        Failed: if the model does not support them.
    """
    if not (takes(model, "position_ids") and takes(model, "logits_to_keep")):
        raise Failed("the model takes no positions, or keeps all logits")
    batches = [branching(model)]
    # learned positions end there
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for window in sorted(windows_of(model)):
        beyond = sorted(sorted(branching(model, window + 4), key=len)[-2:])  # two, to save time
        if window <= _NEAR and (limit is None or max(map(len, beyond)) <= limit):
            batches.append(beyond)
    cases = [(batch, last_places(batch, _LAST)) for batch in batches]
    expected = [logprobs(plain, *case) for case in cases]
    packed = Packed(model, pack, max(1, at_once // pack))
    for case, wanted in zip(cases, expected, strict=True):
        compare(logprobs(packed, *case), wanted, model.dtype)
    return packed
