"""Load a checkpoint's tokenizer and limits, so that they can be checked early.

No weights are loaded, and nothing is asked over a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scruple.checkpoints.location import Location, folder_of
from scruple.errors import ScrupleError

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, ImportError)


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
        ScrupleError: if the tokenizer or the config cannot be read.
    """
    folder = folder_of(location)
    # a checkpoint's own code may raise any exception
    expected = (Exception,) if location.code else _UNREADABLE
    try:
        return _read(folder, location.gguf, location.code)
    except expected as error:
        raise ScrupleError(
            f"{location.checkpoint}: transformers cannot read the tokenizer or the config in "
            f"{folder}: {error}"
        ) from None


@lru_cache(maxsize=2)
def _read(folder: str, gguf: str | None, code: bool) -> TokenizerAndWindow:
    from transformers import AutoConfig, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": code}
    if gguf is not None:
        options["gguf_file"] = gguf
    config = AutoConfig.from_pretrained(folder, **options).get_text_config()
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    return TokenizerAndWindow(
        tokenizer,
        getattr(config, "max_position_embeddings", None),
        getattr(config, "vocab_size", None),
    )
