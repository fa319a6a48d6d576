"""Conversion of a GGUF file into the format of transformers: float32 weights, config, tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scruple.checkpoints.tokenizer import read_copy
from scruple.errors import ScrupleError, one_line

_TOKENS = 16
"""The length of the prompt with which the logits of file and copy are compared."""


def convert(name: str, folder: Path, file: str, target: Path) -> None:
    """Write a dequantised copy of a GGUF file, and compare it with the file.

    Args:
        name: the checkpoint's name, for messages.
        folder: the folder of the file.
        file: the name of the file in it.
        target: the folder to write, which does not exist.

    Raises:
        ScrupleError: if transformers cannot read the file, or the copy differs from it.
    """
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    local: dict[str, Any] = {"local_files_only": True}
    as_float: dict[str, Any] = {**local, "dtype": torch.float32, "output_loading_info": True}
    place = f"checkpoint {name}: {folder / file}"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, **local)
        tokenizer.save_pretrained(target)
        _name_class(target / "tokenizer_config.json")
        model, report = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, **as_float)
    except Exception as error:  # the readers of old architectures raise what they happen upon
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ScrupleError(
            f"{place}: transformers {transformers.__version__} cannot read it: "
            f"{one_line(error)}. Take the checkpoint's safetensors (`hub` or `path` without "
            "`file`), or leave it out."
        ) from None
    lacking = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if lacking:
        raise ScrupleError(
            f"{place} lacks {len(lacking)} weights of its architecture (first: {lacking[0]}); "
            "fetch or convert the checkpoint again."
        )
    before, limits = _logits(model), _limits(model)
    _save(model, target)
    del model
    model, _ = AutoModelForCausalLM.from_pretrained(target, **as_float)
    same = {
        "logits": torch.equal(before, _logits(model)),
        "end tokens and window": limits == _limits(model),
        "tokenizer": _told(tokenizer) == _told(read_copy(target)),
    }
    if other := [part for part, equal in same.items() if not equal]:
        raise ScrupleError(
            f"{place}: what transformers {transformers.__version__} saves of it does not give what "
            f"the file gives ({', '.join(other)} differ). Take the checkpoint's safetensors (`hub` "
            "or `path` without `file`), or leave it out."
        )


def _name_class(config: Path) -> None:
    """Name the class that reads a tokenizer as it is, and not the architecture's own."""
    content = json.loads(config.read_text(encoding="utf-8"))
    content["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def _save(model: Any, target: Path) -> None:
    """Save a model that was loaded from a GGUF file as one that was never quantised."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(mark, None)
    model.save_pretrained(target)


def _logits(model: Any) -> Any:
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    with torch.inference_mode():
        return model.eval()(torch.arange(min(_TOKENS, rows))[None]).logits


def _limits(model: Any) -> tuple[Any, ...]:
    """Return the end tokens, the context window and the vocabulary's size."""
    config = model.config.get_text_config()
    window = getattr(config, "max_position_embeddings", None)
    return model.generation_config.eos_token_id, window, config.vocab_size


def _told(tokenizer: Any) -> tuple[Any, ...]:
    """Return everything that decides how a tokenizer splits texts and writes turns."""
    text = "Who was late? The nurse – she said: “Sorry!”\n  (a) 12:30"
    special = {key: str(token) for key, token in tokenizer.special_tokens_map.items()}
    return (
        json.loads(tokenizer.backend_tokenizer.to_str()), tokenizer.chat_template, special,
        tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id,
        tokenizer(text)["input_ids"], tokenizer(text, add_special_tokens=False)["input_ids"],
    )  # fmt: skip
