"""The marks in what a chat template writes around texts: what they open, and where a turn ends.

A mark is a tag such as `<think>`, `<|im_end|>`, `[INST]` or `</s>`, or another special token of the
tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TAG = re.compile(r"[<\[◁【⟨]([|｜/ ]*)([^<>\[\]◁▷【】⟨⟩|｜\n]{1,40}?)[|｜ ]*[>\]▷】⟩]")
_BLOCK = re.compile(r"([<\[◁【⟨][|｜]?)([\w:]+)([|｜]?[>\]▷】⟩]).*?\1/\2\3", re.DOTALL)
_PAIRS = (("start", "end"), ("begin", "end"), ("open", "close"), ("prefix", "suffix"))
"""Words that make two tags a pair: `<|im_start|>` is closed by `<|im_end|>`."""


@dataclass(frozen=True)
class Marks:
    """Where an assistant's turn ends.

    Attributes:
        ends: marks that end the turn.
        starts: marks or lines with which another turn begins.
    """

    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


def unclosed(text: str) -> list[str]:
    """Return the names of the tags that a text opens and does not close, in order.

    A tag is closed by the same name with a slash (`</think>`, `[/INST]`) or by its counterpart
    (`<|START_THINKING|>` by `<|END_THINKING|>`). A closing tag without an opening is ignored. A tag
    that has no counterpart, such as `<|user|>`, counts as opened.
    """
    opened: list[str] = []
    for tag in _TAG.finditer(text):
        closes = _closes(tag)
        matching = [place for place, name in enumerate(opened) if name in closes]
        if matching:
            del opened[matching[-1]]
        elif not closes:
            opened.append(_name(tag))
    return opened


def _name(tag: re.Match[str]) -> str:
    return re.sub(r"[_▁\s]+", " ", tag[2]).strip().lower()


def _closes(tag: re.Match[str]) -> set[str]:
    """Return the names of the tags that a tag can close; empty for a tag that opens."""
    name = _name(tag)
    if "/" in tag[1]:
        return {name}
    changed = {re.sub(rf"\b{last}\b", first, name) for first, last in _PAIRS}
    return changed - {name}


def without_blocks(text: str) -> str:
    """Return a text without its closed thoughts, such as `<think>…</think>`."""
    return _BLOCK.sub("", text)


def bare(text: str) -> str:
    """Return what is left of a text without closed thoughts, tags and whitespace."""
    return re.sub(r"\s+", "", _TAG.sub("", _BLOCK.sub("", text)))


def turn_marks(opening: str, between: str, tail: str, known: Iterable[str] = ()) -> Marks:
    """Return the marks that end an assistant's turn, and those that begin another one.

    Args:
        opening: what a template writes between the user's text and the assistant's.
        between: what it writes between the assistant's text and the user's next one.
        tail: what it writes after the assistant's text if no turn follows.
        known: the tokenizer's special tokens.
    """
    pattern = _pattern(known)
    after = re.split(pattern, between)
    before = re.split(pattern, _BLOCK.sub("", opening))
    ends: list[str] = []
    if len(after) > 1 and not after[0].strip():
        tag = _TAG.fullmatch(after[1])
        if tail.lstrip().startswith(after[1]) or (tag and _closes(tag)):
            ends = [after[1]]
    opens = [mark for mark in before[1::2] if not (tag := _TAG.fullmatch(mark)) or not _closes(tag)]
    starts = [mark for mark in (*after[1::2], *opens) if mark not in ends]
    starts += [line(text) for text in (*after[::2], *before[::2]) if re.search(r"\w.*:\s*$", text)]
    if not ends and not starts and between.strip():
        starts = [line(between)]
    return Marks(tuple(ends), tuple(dict.fromkeys(starts)))


def _pattern(known: Iterable[str]) -> str:
    """Return a regular expression with one group, which matches a mark."""
    names = sorted((name for name in known if name.strip()), key=len, reverse=True)
    tag = _TAG.pattern.replace("([", "(?:[")
    return f"({'|'.join([*map(re.escape, names), tag])})"


def line(label: str) -> str:
    """Return a speaker's label as it stands at the beginning of a line."""
    return "\n" + label.strip()
