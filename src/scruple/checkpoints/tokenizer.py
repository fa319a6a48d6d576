"""Load a checkpoint's tokenizer and limits, so that they can be checked early.

No weights are loaded, and nothing is asked over a network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scruple.checkpoints.causal import NotCausal, check_causal
from scruple.checkpoints.location import Location, folder_of
from scruple.checkpoints.sentencepieces import difference, vocabulary_file
from scruple.errors import ScrupleError, one_line


@dataclass(frozen=True)
class TokenizerAndWindow:
    """A tokenizer, and what the checkpoint's config says about its reach.

    Attributes:
        tokenizer: the tokenizer.
        window: the most tokens that the checkpoint can read; None if there is no limit.
        vocabulary: the number of rows of the embedding, so that a token from this number on cannot
            be read; None if the config does not say.
    """

    tokenizer: Any
    window: int | None
    vocabulary: int | None


def load_tokenizer(location: Location) -> TokenizerAndWindow:
    """Return the tokenizer, context window and vocabulary of a checkpoint on this machine.

    Args:
        location: the location of its files.

    Raises:
        ScrupleError: if the tokenizer or the config cannot be read, or the checkpoint is not a
            causal language model.
    """
    folder = folder_of(location)
    try:
        return _read(folder, location.gguf, location.code, location.copy)
    except NotCausal as error:
        raise ScrupleError(
            f"{location.checkpoint}: {folder} is no causal language model: {error}. Take a "
            "decoder-only checkpoint instead, or leave it out."
        ) from None
    except Exception as error:  # tokenizers raises no other class, and foreign code raises any
        raise ScrupleError(
            f"{location.checkpoint}: transformers cannot read the tokenizer or the config in "
            f"{folder}: {one_line(error)}. Correct the files there, or save the checkpoint "
            "with a tokenizer.json into a folder and give that as `path`."
        ) from None


@lru_cache(maxsize=2)
def _read(folder: str, gguf: str | None, code: bool, copy: bool) -> TokenizerAndWindow:
    from transformers import AutoConfig, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": code}
    if gguf is not None:
        options["gguf_file"] = gguf
    whole = AutoConfig.from_pretrained(folder, **options)
    check_causal(whole)
    config = whole.get_text_config()
    source = None if code or gguf else vocabulary_file(Path(folder))
    if copy:
        tokenizer = read_copy(Path(folder))
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    _check(tokenizer, source)
    if not tokenizer.chat_template:
        tokenizer.chat_template = _template_of_processor(Path(folder))
    window = getattr(config, "max_position_embeddings", None) or 0
    return TokenizerAndWindow(
        tokenizer, window if window > 0 else None, getattr(config, "vocab_size", None)
    )


def read_copy(folder: Path) -> Any:
    """Return the tokenizer of the dequantised copy of a GGUF file, as the file gave it.

    The class that transformers has for an architecture may add to it: Qwen 2's adds a normaliser
    that tokenizers read from GGUF files do not have.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _check(tokenizer: Any, source: Path | None) -> None:
    """Raise an error if a tokenizer is not what its files say.

    Raises:
        ValueError: if it knows special tokens only, since transformers found no vocabulary for its
            class and said nothing; or if it differs from its sentencepiece file.
    """
    own = type(tokenizer).__name__
    advice = (
        "see that `tokenizer_class` in tokenizer_config.json fits the file, and the file's name "
        "the class (LlamaTokenizer reads tokenizer.model, and T5Tokenizer spiece.model)"
    )
    if len(tokenizer) - len(tokenizer.all_special_ids) < 2:
        raise ValueError(f"it becomes a {own} without a vocabulary; {advice}")
    wrong = difference(tokenizer, source) if source is not None else None
    if source is not None and wrong is not None:
        raise ValueError(f"{source.name} becomes a {own} that differs from it: {wrong}; {advice}")


def _template_of_processor(folder: Path) -> str | None:
    """Return the chat template of a multimodal checkpoint's processor, which its tokenizer lacks.

    transformers saved it in a file of its own, `chat_template.json`, for some time.
    """
    path = folder / "chat_template.json"
    if not path.is_file():
        return None
    template = json.loads(path.read_text(encoding="utf-8"))["chat_template"]
    if not isinstance(template, str):
        raise ValueError(f"{path.name} holds no template")
    return template
