"""The marks in what a chat template writes around texts: what they open, and where a turn ends.

A mark is a tag such as `<think>`, `<|im_end|>`, `[INST]` or `</s>`, another special token of the
tokenizer, or the name of a speaker such as `USER:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_TAG = re.compile(r"[<\[◁【⟨]([|｜/ ]*)([^<>\[\]◁▷【】⟨⟩|｜\n]{1,40}?)[|｜ ]*[>\]▷】⟩]")
_PAIRS = (("start", "end"), ("begin", "end"), ("open", "close"), ("prefix", "suffix"))
"""Words that make two tags a pair: `<|im_start|>` is closed by `<|im_end|>`."""
_THOUGHT = re.compile(r"think|thought|reason|inner|scratch")
"""Names of tags around a thought."""


@dataclass(frozen=True)
class Marks:
    """Where an assistant's turn ends.

    Attributes:
        ends: marks that end the turn.
        starts: marks or lines with which another turn begins.
    """

    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


def _name(tag: re.Match[str]) -> str:
    return re.sub(r"[_▁\s]+", " ", tag[2]).strip().lower()


def _closes(tag: re.Match[str]) -> set[str]:
    """Return the names of the tags that a tag can close; empty for a tag that opens.

    A tag is closed by the same name with a slash (`</think>`, `[/INST]`) or by its counterpart
    (`<|START_THINKING|>` by `<|END_THINKING|>`).
    """
    name = _name(tag)
    if "/" in tag[1]:
        return {name}
    changed = {re.sub(rf"\b{last}\b", first, name) for first, last in _PAIRS}
    return changed - {name}


def without_thoughts(text: str) -> tuple[str, str]:
    """Return a text without its thoughts, and the tag of a thought that it leaves open, if any.

    A closed thought (`<think>…</think>`) is left out with what is in it, and so is a tag that
    closes a thought which was not opened, as some templates write to have none.
    """
    kept: list[str] = []
    opened: list[str] = []
    start = 0
    for tag in _TAG.finditer(text):
        if not _THOUGHT.search(_name(tag)):
            continue
        if not opened:
            kept.append(text[start : tag.start()])
        if not _closes(tag):
            opened.append(tag[0])
        elif opened:
            opened.pop()
        start = tag.end()
    if not opened:
        kept.append(text[start:])
    return "".join(kept), opened[-1] if opened else ""


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
    before = re.split(pattern, without_thoughts(opening)[0])
    ends: list[str] = []
    if len(after) > 1 and not after[0].strip():
        tag = _TAG.fullmatch(after[1])
        if tail.lstrip().startswith(after[1]) or (tag and _closes(tag)):
            ends = [after[1]]
    opens = [mark for mark in before[1::2] if not (tag := _TAG.fullmatch(mark)) or not _closes(tag)]
    starts = [mark for mark in (*after[1::2], *opens) if mark not in ends]
    tagless = len(after) == len(before) == 1
    for text in (*after[::2], *before[::2]):
        starts += _labels(text, tagless)
    if not ends and not starts and between.strip():
        starts = [line(between)]
    return Marks(tuple(ends), tuple(dict.fromkeys(starts)))


def _labels(text: str, tagless: bool) -> Iterator[str]:
    """Yield the marks of a speaker's name: with a colon, or alone on a line if there are no tags.

    A name that does not begin a line is a mark with the blank before it, and at the beginning of a
    line as well.
    """
    label = text.strip()
    if re.search(r"\w[^\w\n]*[:：]$", label):
        if "\n" not in text[: len(text) - len(text.lstrip())] and text[:1].isspace():
            yield f" {label}"
        yield line(label)
    elif tagless and re.search(r"^\s*\n\s*\S[^\n]*\n\s*$", text):
        yield f"{line(label)}\n"


def _pattern(known: Iterable[str]) -> str:
    """Return a regular expression with one group, which matches a mark."""
    names = sorted((name for name in known if name.strip()), key=len, reverse=True)
    tag = _TAG.pattern.replace("([", "(?:[")
    return f"({'|'.join([*map(re.escape, names), tag])})"


def line(label: str) -> str:
    """Return a speaker's label as it stands at the beginning of a line."""
    return "\n" + label.strip()
