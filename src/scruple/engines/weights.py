"""Check that a checkpoint's config and weights belong together.

transformers loads what fits and passes over the rest. A config.json with too few layers, or without
the biases that were trained, thus gives another model than the one that was published.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.files import read_json

_HARMLESS = re.compile(
    # masks and positions that old versions of transformers saved, which are computed today
    r"(^|\.)(attn|attention|self_attn|self_attention)\.(bias|masked_bias|causal_mask)$"
    r"|(^|\.)masked_bias$"
    r"|(^|\.)(\w+_)?inv_freq$"
    r"|(^|\.)(rotary_emb|rotary_pos_emb|rope|rotary)\.(\w+_)?(cos|sin|freqs|freqs_cis)(_cached)?$"
    r"|(^|\.)rope_freqs\.weight$"
    r"|(^|\.)position_ids$"
    r"|(^|\.)(embed_positions|position_embeddings?)\.(weights|_float_tensor)$"
    r"|(^|\.)alibi$|(^|\.)num_batches_tracked$|(^|\.)version$"
    # heads beside the one that predicts the next token
    r"|^v_head\.|(^|\.)mtp(_\w+)?\."
)
"""Names of weights that no model needs to predict the next token."""
_OTHER_SENSES = re.compile(
    r"(^|\.)(vision|visual|image|video|audio|speech|multi_?modal|mm_|modality|connector|projector"
    r"|resampler|embed_(vision|audio)|talker|\w*2wav|vpm|apm|tts)"
)
"""Parts of a checkpoint for images or sound, which texts do not pass through."""
_SENSES = re.compile(r"(vision|audio|image|video|speech|talker|tts|code2wav)\w*_config$|^visual$")
"""Keys of the config.json of such a checkpoint."""


def check_weights(checkpoint: str, folder: str, report: Mapping[str, Any], tied: bool) -> None:
    """Raise an error if a checkpoint's weights are fewer or more than its config asks for.

    Args:
        checkpoint: its name.
        folder: the folder of its files.
        report: the loading information of transformers' `from_pretrained`.
        tied: whether its output weights are its input weights; a copy of them does no harm.

    Raises:
        ScrupleError: with the first name and the remedy.
    """
    absent = _sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if absent:
        raise ScrupleError(
            f"{checkpoint}: {folder} lacks {len(absent)} weights that its config.json "
            f"asks for (first: {absent[0]}); fetch the checkpoint again."
        )
    surplus = surplus_of(report["unexpected_keys"], _config_keys(folder), tied)
    if surplus:
        raise ScrupleError(
            f"{checkpoint}: {folder} has {len(surplus)} weights that its config.json has no place "
            f"for (first: {surplus[0]}), so the model would not be the published one; correct "
            "config.json (its number of layers, its biases), or fetch the checkpoint again."
        )


def surplus_of(unexpected: Iterable[str], config: Collection[str], tied: bool) -> list[str]:
    """Return the names of unexpected weights that are not known to be harmless, in order.

    Args:
        unexpected: the names of the weights that the model has no place for.
        config: the keys of its config.json.
        tied: whether its output weights are its input weights.
    """
    senses = any(_SENSES.search(key) for key in config)
    return _sorted(
        name
        for name in unexpected
        if not _HARMLESS.search(name)
        and not (senses and _OTHER_SENSES.search(name))
        and not (tied and name in ("lm_head.weight", "embed_out.weight"))
    )


def tokens_known(model: Any) -> int:
    """Return how many tokens a model can read and predict."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return min(int(layer.weight.shape[0]) for layer in layers if layer is not None)


def _config_keys(folder: str) -> set[str]:
    path = Path(folder) / "config.json"  # a GGUF file has its config inside
    return set(read_json(path)) if path.is_file() else set()


def _sorted(names: Iterable[str]) -> list[str]:
    """Sort names, with layer 2 before layer 10."""
    return sorted(names, key=lambda name: [(len(part), part) if part.isdigit() else (99, part)
                                           for part in name.split(".")])  # fmt: skip
