"""Run a chat template on marked texts, to see what it writes around them.

These functions run foreign code, and change a module of transformers. They are only called in a
process of its own, by `scruple.prompts.template`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from scruple.prompts.frame import Around, Frame, Texts, Unfit
from scruple.prompts.marks import turn_marks, without_thoughts

_LONGEST = 1_000_000
"""The most characters that a template may write for one of the short conversations."""
_ROLES = ("user", "assistant", "user")
_PARTS = ("the question", "the reasoning", "the question after the reasoning")
_THOUGHT = r"(?<![\w.<\[/|])\w*(?:think|thought|reason)\w*"
"""The name of a variable of a template that has to do with thoughts."""
_OTHER_DATES = ("1999-03-14", "2011-11-02")
"""Dates that differ in everything from each other; a template that writes the date shows one."""


def probe(tokenizer: Any, source: str, date: str) -> Frame | Unfit:
    """Return the frame of the first way to call the template that works, else the best reason."""
    if "strftime_now" in source:
        _check_date(tokenizer, date)
    reasons = []
    specials = [str(token) for token in tokenizer.all_special_tokens]
    for parts in (False, True):
        for switches in _switches(source):
            render = renderer(tokenizer, source, date, parts, switches)
            try:
                question, reasoning, tail = _look(render)
                _check_unwritten(tokenizer, source, date, parts, switches, reasoning)
            except Unfit as error:
                reasons.append(error)
                continue
            marks = turn_marks(reasoning.pieces[1], reasoning.pieces[2], tail, specials)
            dated = any(
                renderer(tokenizer, source, other, parts, switches)(_TEXTS[0][:n], True)
                != render(_TEXTS[0][:n], True)
                for other in _OTHER_DATES
                for n in (1, 3)
            )
            return Frame(question, reasoning, marks, parts, switches, dated)
    return max(reasons, key=lambda reason: reason.rank)


def _check_unwritten(
    tokenizer: Any, source: str, date: str, parts: bool, switches: Mapping[str, Any], seen: Around
) -> None:
    """Raise an error if the template writes out the value of a switch that was set to false."""
    if False not in switches.values():
        return
    other = renderer(tokenizer, source, date, parts, dict.fromkeys(switches, 0))
    if _pieces(other(_TEXTS[0], True), _TEXTS[0]) != seen.pieces:
        raise Unfit(3, f"writes the value of {' and '.join(switches)} into the prompt")


def _check_date(tokenizer: Any, date: str) -> None:
    """Raise an error unless templates get the fixed date from this version of transformers."""
    written = renderer(tokenizer, "{{ strftime_now('%Y-%m-%d') }}", date, False, {})
    if written(["x"], True) != date:
        raise Unfit(5, "writes today's date, which this version of transformers does not let fix")


def _switches(source: str) -> Iterator[dict[str, Any]]:
    """Yield ways to set the variables of a template that may have to do with thoughts."""
    yield {}
    names = sorted(set(re.findall(_THOUGHT, source)))
    for value in (False, 0, "none"):
        yield from ({name: value} for name in names)
    if len(names) > 1:
        yield dict.fromkeys(names, False)


def renderer(
    tokenizer: Any, source: str, date: str, parts: bool, switches: Mapping[str, Any]
) -> Callable[[Texts, bool], str]:
    """Return a function that renders texts with the template; only for a process of its own."""
    from transformers.utils import chat_template_utils

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Fixed:
            return cls.fromisoformat(date)

    def render(texts: Texts, opens: bool) -> str:
        chat_template_utils.datetime = Fixed  # `strftime_now` of templates reads the clock
        chat = [
            {"role": role, "content": [{"type": "text", "text": text}] if parts else text}
            for role, text in zip(_ROLES, texts, strict=False)
        ]
        try:
            text = tokenizer.apply_chat_template(
                chat, chat_template=source, tokenize=False, add_generation_prompt=opens, **switches
            )
        except MemoryError:
            raise
        except Exception as error:  # a template may raise anything
            raise Unfit(0, f"fails: {error or type(error).__name__}") from None
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unfit(0, "writes characters that no text can have (surrogates)") from None
        if len(text) > _LONGEST + sum(map(len, texts)):
            raise Unfit(0, f"writes {len(text):,} characters around a few words")
        return str(text)

    return render


_TEXTS = (
    ("How many rivers flow into lake 7141?", "Three of them do, says map 7142.", "Which is 7143?"),
    (
        'A "quoted" text, it\'s <b>bold</b> & {{ 8141 }} {% 50 %}\n\n- an item\n\n# Überschrift',
        "第8142，\n\nso [this] is (probably) 100 % of it; isn’t it?",
        "Então: \\n 8143 | a_b ~ c*d\n(x) yes\n(y) no",
    ),
)
"""Conversations of texts that a template must leave as they are."""
_EDGE = " \n"
"""Blanks at the edges of a text, which a template may remove."""


def _look(render: Callable[[Texts, bool], str]) -> tuple[Around, Around, str]:
    """Return the frames of both kinds of conversation, and what follows a last assistant's turn."""
    frames = []
    for texts in (*_TEXTS, _TEXTS[0]):  # the first again: the result must be the same
        once = [_pieces(render(texts[:n], n != 2), texts[:n]) for n in (1, 3, 2)]
        frames.append(once)
    if any(frame != frames[0] for frame in frames):
        raise Unfit(2, "writes something else around other texts, or at another time")
    (question, reasoning, told), opening = frames[0], frames[0][1][1]
    for written in (question[-1], reasoning[-1]):
        _check_opening(written, opening)
    return (
        Around(question, _cut(render, question, _TEXTS[0][:1])),
        Around(reasoning, _cut(render, reasoning, _TEXTS[0])),
        told[-1],
    )


def _pieces(written: str, texts: Texts) -> tuple[str, ...]:
    """Return what stands before, between and after texts."""
    places, start = [], 0
    for text, what in zip(texts, _PARTS, strict=False):
        if text not in written:
            raise Unfit(1, f"drops or changes {what}")
        if written.count(text) > 1:
            raise Unfit(1, f"repeats {what}")
        place = written.index(text)
        if place < start:
            raise Unfit(1, "changes the order of the turns")
        places.append((start, place))
        start = place + len(text)
    return (*(written[first:last] for first, last in places), written[start:])


def _cut(
    render: Callable[[Texts, bool], str], pieces: Sequence[str], texts: Texts
) -> tuple[tuple[bool, bool], ...]:
    """Return for each text whether blanks at its beginning and at its end are removed."""
    found = _pieces(render([_EDGE + text + _EDGE for text in texts], True), texts)
    last = len(texts)
    kept = []
    for place, (now, before) in enumerate(zip(found, pieces, strict=True)):
        # the blanks after the text before, and those before the text behind
        for right, left in ((1, 1), (1, 0), (0, 1), (0, 0)):
            right, left = right and place > 0, left and place < last
            if now == _EDGE * right + before + _EDGE * left:
                break
        kept.append((right, left))
    return tuple((not kept[k][1], not kept[k + 1][0]) for k in range(last))


def _check_opening(written: str, opening: str) -> None:
    """Raise an error unless the assistant's turn is opened, and nothing else is left open.

    Args:
        written: what the template writes after the last text, for the assistant to go on.
        opening: what it writes between the user's text and an assistant's text that is given.
    """
    if not opening.strip():
        raise Unfit(2, "does not mark where the assistant's turn begins")
    (found, open_now), (wanted, open_then) = map(without_thoughts, (written, opening))
    thought = open_now or open_then
    if thought:
        raise Unfit(4, f"begins the assistant's turn with {thought} and leaves it open")
    found, wanted = (re.sub(r"\s+", "", text) for text in (found, wanted))
    if not found.startswith(wanted):
        raise Unfit(
            3, f"does not open the assistant's turn: it writes {written.strip()!r}, and "
            f"{opening.strip()!r} before an answer that is given"
        )  # fmt: skip
    if extra := found.removeprefix(wanted):
        raise Unfit(3, f"writes {extra!r} after it has opened the assistant's turn")
