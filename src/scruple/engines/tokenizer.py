"""What reads prompts before any weights are loaded: a checkpoint's tokenizer, and its window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scruple.engines.loading import folder_of
from scruple.errors import ScrupleError

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, ImportError)


@dataclass(frozen=True)
class Reader:
    """A tokenizer, and the most tokens that the checkpoint can read (None: no limit)."""

    tokenizer: Any
    window: int | None


def reader_of(manifest: Mapping[str, Any]) -> Reader:
    """Return the reader of a fetched checkpoint.

    Args:
        manifest: what `fetch_checkpoint` wrote.

    Raises:
        ScrupleError: if the tokenizer or the config cannot be read.
    """
    place = (folder_of(manifest), manifest.get("gguf"), bool(manifest.get("code")))
    expected = (Exception,) if place[2] else _UNREADABLE  # code of its own may raise anything
    try:
        return _read(*place)
    except expected as error:
        raise ScrupleError(
            f"{manifest['checkpoint']}: transformers cannot read the tokenizer or the config in "
            f"{place[0]}: {error}"
        ) from None


@lru_cache(maxsize=2)
def _read(folder: str, gguf: str | None, code: bool) -> Reader:
    from transformers import AutoConfig, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": code}
    if gguf is not None:
        options["gguf_file"] = gguf
    config = AutoConfig.from_pretrained(folder, **options).get_text_config()
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    return Reader(tokenizer, getattr(config, "max_position_embeddings", None))
