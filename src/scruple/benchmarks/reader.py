"""How answers that were made elsewhere are read, for `scruple measure`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
            which every metric in `bounded` is lowest and highest, whatever answers are missing. To
            these are added the assignments of one and the same answer to all.
        bounded: the names of these metrics. The others have no range, unless all is answered.
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
        return only(answers_of(text, lambda form: _meanings(words(form), phrases)))

    return match


def answers_of(text: str, fits: Callable[[str], set[str]]) -> set[str]:
    """Return the answers that a text gives: by one of its forms as a whole, or by its statements.

    Args:
        text: the free text.
        fits: the answers that fit one tidy form of a text.
    """
    text, phrases = tidy(text), read_phrases()
    for form in forms(text, phrases):
        if found := fits(form):
            return found
    stated = (forms(part, phrases) for part in statements(text, phrases))
    return {answer for parts in stated for answer in next(filter(None, map(fits, parts)), set())}


def only(answers: set[str]) -> str | None:
    """Return the answer if there is exactly one."""
    return next(iter(answers)) if len(answers) == 1 else None


def _meanings(form: Words, phrases: Mapping[str, frozenset[Words]]) -> set[str]:
    return {answer for answer, known in phrases.items() if form in known}
