"""Tokenizers that come as a file of sentencepiece: readable, and read as sentencepiece reads them.

Without a tokenizer.json, transformers builds the tokenizer anew from that file, after the class
that the checkpoint names. If the class does not fit the file, the result splits words differently,
or writes another token for what is unknown, and says nothing.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_WORDS = 400
"""The most words of a vocabulary that are compared."""
_SHARE = 0.02
"""The share of texts that may be split differently: ties are resolved in one way or the other."""
_RARE = ("☃", "ꙮ", "𐎀", "🧿")
"""Characters of which at least one is in no vocabulary."""


def vocabulary_file(folder: Path) -> Path | None:
    """Return the sentencepiece file from which transformers has to build a tokenizer.

    Returns:
        None if there is a tokenizer.json, which transformers prefers, or no such file.

    Raises:
        ValueError: if the file cannot be read; the message names it and the remedy.
    """
    found = sorted(folder.glob("*.model"))
    if not found or (folder / "tokenizer.json").is_file():
        return None
    if missing := [name for name in ("sentencepiece", "google.protobuf") if not _installed(name)]:
        raise ValueError(
            f"{found[0].name} needs Python packages that are not installed ({', '.join(missing)}): "
            "run `pip install sentencepiece protobuf`"
        )
    readable = [path for path in found if _processor(path) is not None]
    if readable:
        return readable[0]
    if not _is_tiktoken(found[0]):
        raise ValueError(f"{found[0].name} is damaged or cut short: sentencepiece cannot read it")
    if not _installed("tiktoken"):
        raise ValueError(
            f"{found[0].name} is in the format of tiktoken, which is not installed: run `pip "
            "install tiktoken`"
        )
    return None


def difference(tokenizer: Any, path: Path) -> str | None:
    """Return how a tokenizer differs from the sentencepiece file it was built from.

    Words of the vocabulary, alone and joined in pairs, and an unknown character are split by both.

    Returns:
        None if they agree, else the first difference in words.
    """
    processor = _processor(path)
    texts, differing = _texts(processor), []
    for text in texts:
        expected, found = _pieces(processor, text), _tokens(tokenizer, text)
        if expected != found:
            differing.append((text, expected, found))
    unknown = [one for one in differing if one[0] in texts[-1:]]
    if not unknown and len(differing) <= _SHARE * len(texts):
        return None
    text, expected, found = (unknown or differing)[0]
    return f"{text!r} becomes {' '.join(found)}, and sentencepiece makes {' '.join(expected)} of it"


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _processor(path: Path) -> Any:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError):
        return None


def _is_tiktoken(path: Path) -> bool:
    """Return whether a file's first line is a token in base64 and its rank."""
    with path.open("rb") as file:
        parts = file.readline(1000).split()
    try:
        return len(parts) == 2 and parts[1].isdigit() and bool(base64.b64decode(parts[0]))
    except (binascii.Error, ValueError):
        return False


def _texts(processor: Any) -> list[str]:
    """Return texts made of a vocabulary's words; the last one ends with an unknown character."""
    special = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
    pieces = (
        processor.id_to_piece(i).lstrip("▁")
        for i in range(processor.get_piece_size())
        if not any(kind(i) for kind in special)
    )
    words = [
        word
        for word in dict.fromkeys(pieces)
        if len(word) > 1 and word.isalpha() and unicodedata.normalize("NFKC", word) == word
    ]
    words = words[:: max(1, len(words) // _WORDS)]
    pairs = [f"{a}{b} {a}" for a, b in itertools.pairwise(words)]
    rare = next((one for one in _RARE if _unknown(processor, one)), "")
    return [*words, *pairs, f"{(words or ['a'])[0]} {rare}".strip()]


def _unknown(processor: Any, text: str) -> bool:
    return processor.unk_id() in processor.encode(text)


def _pieces(processor: Any, text: str) -> Sequence[str]:
    return [processor.id_to_piece(i) for i in processor.encode(text)]


def _tokens(tokenizer: Any, text: str) -> Sequence[str]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
