"""Learn what a checkpoint's chat template writes around the texts of a conversation.

A chat template is a program. It is run on a few conversations of marked texts only, in a process of
its own with limits. What it writes around the texts is its frame, and prompts are made by putting
texts into the frame. A template that changes, drops or repeats texts has no frame and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scruple.prompts.frame import Frame, Texts, Unfit
from scruple.prompts.guard import Stopped, guarded
from scruple.prompts.probe import probe, renderer

_learned: dict[tuple[Any, ...], Frame | Unfit] = {}


def learn(tokenizer: Any, name: str | None, date: str) -> Frame:
    """Return the frame of a tokenizer's chat template.

    Args:
        tokenizer: the tokenizer.
        name: the template's name, if the tokenizer has several.
        date: the date that templates take for today's, as YYYY-MM-DD.

    Raises:
        Unfit: if the template cannot be used.
    """
    source = choose(tokenizer.chat_template, name)
    named = sorted(map(repr, tokenizer.special_tokens_map.items()))
    key = source, date, *named, *sorted(map(str, tokenizer.all_special_tokens))
    if key not in _learned:
        try:
            _learned[key] = guarded(lambda: probe(tokenizer, source, date))
        except Stopped as error:
            _learned[key] = Unfit(0, f"fails: {error}")
    found = _learned[key]
    if isinstance(found, Unfit):
        raise Unfit(found.rank, found.text)
    return found


def choose(templates: Any, name: str | None) -> str:
    """Return the source of the template with this name, or of the only or default one."""
    named = templates if isinstance(templates, dict) else {"default": templates}
    wanted = name or "default"
    if wanted in named:
        return str(named[wanted])
    there = ", ".join(sorted(named))
    if name:
        raise Unfit(0, f"{name!r} does not exist; there are: {there}")
    raise Unfit(
        0,
        "is one of several, and none of them is called default: choose one by its name, "
        f"`template: NAME`, of {there}",
    )


def differing(
    tokenizer: Any, name: str | None, date: str, frame: Frame, conversations: Sequence[Texts]
) -> int | None:
    """Return the index of the first conversation that the template writes unlike its frame.

    Raises:
        Unfit: if the template fails.
    """
    source = choose(tokenizer.chat_template, name)

    def compare() -> int | None:
        render = renderer(tokenizer, source, date, frame.parts, frame.switches)
        for place, texts in enumerate(conversations):
            if render(texts, True) != frame.fill(texts):
                return place
        return None

    try:
        place: int | None = guarded(compare)
    except Stopped as error:
        raise Unfit(0, f"fails: {error}") from None
    return place
