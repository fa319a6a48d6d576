"""Texts in a form in which they can be compared, in every script."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_APOSTROPHES = "'`´‘’‚‛ʼʹ′＇"
_DASHES = "‐‑‒–—―−"
_LIKE = str.maketrans(dict.fromkeys(_APOSTROPHES) | dict.fromkeys(_DASHES, "-"))


def plain(text: str) -> str:
    """Return a text in Unicode's NFKC form, case-folded, without apostrophes and invisible signs.

    Full-width and half-width letters, composed and decomposed accents, and dashes of any length
    become the same. Line breaks stay.
    """
    text = unicodedata.normalize("NFKC", text.translate(_LIKE)).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_LIKE)
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


@lru_cache(maxsize=100_000)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text: runs of letters, marks and digits of any script.

    Marks belong to words, because in many scripts they are the vowels.
    """
    return tuple("".join(c if is_of_words(c) else " " for c in plain(text)).split())


@lru_cache(maxsize=100_000)
def unaccented(word: str) -> str:
    """Return a word without the accents that Latin, Greek and Cyrillic letters have."""
    parts = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not "\u0300" <= c <= "\u0345"))


def key(text: str) -> str:
    """Return the words of a text, joined; an empty key must not be taken to equal another one."""
    return "".join(words(text))


def is_of_words(character: str) -> bool:
    """Return whether a character is a letter, a mark or a digit."""
    return unicodedata.category(character)[0] in "LMN"
