"""How answers that were made elsewhere are read, for `scruple measure`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks.free_text import forms, statements, tidy
from scruple.benchmarks.phrases import Words, read_phrases
from scruple.benchmarks.plain import words

Row = Mapping[str, Any]
Ids = Mapping[tuple[str, ...], Callable[[pd.DataFrame], pd.Series]]
Match = Callable[[str, Row], str | None]
Fits = Callable[[str, bool], set[str]]


def _by_item_id(cells: pd.DataFrame) -> pd.Series:
    return cells["item_id"]


def _nothing_wrong(path: Path, answers: pd.DataFrame) -> list[str]:
    return []


def _no_assignment(rows: pd.DataFrame) -> list[np.ndarray]:
    return []


BY_ITEM_ID: Ids = {("item_id",): _by_item_id}
"""The columns that name an item if a benchmark does not say more."""


@dataclass(frozen=True)
class Reader:
    """How a benchmark reads answers that were made elsewhere.

    Attributes:
        match: the answer (one of the module's ANSWERS) that a text gives to an item; None if it is
            not clear. It never guesses: a text that could mean two answers means none.
        ids: columns of the answers' file that together name an item → the function that makes the
            `item_id` of their cells. The first of them whose columns are all there is used.
        check: refuses a file (ScrupleError), or returns remarks about it; gets the path and a table
            with the columns `item_id`, `answer` and those of the items (empty for an answer to an
            unknown item), whose index is the line.
        extremes: for the N items of one condition, assignments of answers (shape (N,) each) among
            which every metric in `bounded` is lowest and highest, whichever answers are unknown.
        bounded: the names of these metrics. The others have no range, unless all is answered;
            position_bias has one for every benchmark.
        expects: what `answer` can be, for messages.
    """

    match: Match
    ids: Ids = field(default_factory=lambda: BY_ITEM_ID)
    check: Callable[[Path, pd.DataFrame], list[str]] = _nothing_wrong
    extremes: Callable[[pd.DataFrame], list[np.ndarray]] = _no_assignment
    bounded: frozenset[str] = frozenset()
    expects: str = "one of the benchmark's answers"


def reader_of(module: Any) -> Reader:
    """Return a benchmark module's READER, or one that knows the names of its ANSWERS only."""
    own = getattr(module, "READER", None)
    if own is not None:
        return own
    names = {answer: frozenset({words(answer)}) for answer in module.ANSWERS}
    return Reader(by_phrases(names), expects=f"one of {', '.join(module.ANSWERS)}")


def by_phrases(phrases: Mapping[str, frozenset[Words]]) -> Match:
    """Return a `match` for answers that do not depend on the item.

    The whole text is one of an answer's phrases, once lead-ins (“the answer is”) and endings (“is
    correct”) are taken away; or a part of the text that can be an answer of its own is one.

    Args:
        phrases: answer → its phrases, each as its words.
    """

    def match(text: str, item: Row) -> str | None:
        return only(answers_of(text, lambda form, _: _meanings(words(form), phrases)))

    return match


def answers_of(text: str, fits: Fits) -> set[str]:
    """Return the answers that a text gives, as a whole and in its statements.

    If there are none, those of its first and last line count.

    Args:
        text: the free text.
        fits: returns the answers that fit one tidy form of a text; its second argument is False for
            a line that may be something else than an answer, so that it must be nothing more.
    """
    text, phrases = tidy(text), read_phrases()
    found = _first(forms(text, phrases), fits, True)
    lines: set[str] = set()
    for part, states in statements(text, phrases):
        answers = _first(forms(part, phrases), fits, states)
        found, lines = (found | answers, lines) if states else (found, lines | answers)
    return found or lines


def _first(texts: Iterable[str], fits: Fits, states: bool) -> set[str]:
    """Return the answers that fit the first of the texts that any fits."""
    return next(filter(None, (fits(text, states) for text in texts)), set())


def only(answers: set[str]) -> str | None:
    """Return the answer if there is exactly one."""
    return next(iter(answers)) if len(answers) == 1 else None


def _meanings(form: Words, phrases: Mapping[str, frozenset[Words]]) -> set[str]:
    return {answer for answer, known in phrases.items() if form in known}
