"""How answers that were made elsewhere are read, for `scruple measure`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks.free_text import forms, parts, states, tidy, without_reason
from scruple.benchmarks.phrases import Words, read_phrases
from scruple.benchmarks.plain import words

Row = Mapping[str, Any]
Ids = Mapping[tuple[str, ...], Callable[[pd.DataFrame], pd.Series]]
Match = Callable[[str, Row], str | None]
Means = Callable[[str], set[str]]
Turned = Callable[[str, set[str]], bool]


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
    """Return a `match` for answers that do not depend on the item; see `answers_of`.

    Args:
        phrases: answer → its phrases, each as its words.
    """

    def means(form: str) -> set[str]:
        return {answer for answer, known in phrases.items() if words(form) in known}

    def turned(said: str, answers: set[str]) -> bool:
        others = {p[0] for a in set(phrases) - answers for p in phrases[a] if len(p) == 1}
        return bool(others.intersection(words(said)))

    return lambda text, item: only(answers_of(text, means, turned))


def answers_of(text: str, means: Means, turned: Turned) -> set[str]:
    """Return the answers that a text gives.

    The text as a whole is a known form of an answer; or a sentence of it is, which stands first, on
    the last line behind a finished sentence, or after “the answer is”, and nothing else in the text
    takes it back. A reason without a comma may follow in the same sentence (“because …”).

    Args:
        text: the free text.
        means: returns the answers of which a tidy text is a known form.
        turned: returns whether a text that is no answer may speak against answers. Negations and
            words of doubt, correction and refusal need not be looked for.
    """
    text, phrases = tidy(text), read_phrases()
    if found := _meant(text, means, turned):
        return found
    sentences = parts(text)
    meant = [_meant(one.text, means, turned) for one in sentences]
    found = set().union(*meant)
    pairs = list(zip(sentences, meant, strict=True))
    if any(mine and one.text.endswith(":") for one, mine in pairs):  # “Reject:”, and then “no”
        return set()
    if not any(mine and (one.alone or states(one.text, phrases)) for one, mine in pairs):
        return set()
    rest = (one.text for one, mine in pairs if not mine)
    return set() if any(takes_back(one, found, turned) for one in rest) else found


def takes_back(text: str, answers: set[str], turned: Turned) -> bool:
    """Return whether a text has a word that may take answers back, or `turned` says so."""
    return bool(read_phrases().turns.intersection(words(text))) or turned(text, answers)


def _meant(text: str, means: Means, turned: Turned) -> set[str]:
    """Return the answers of which a text is a form, with or without a reason."""
    if found := _first(text, means):
        return found
    head, reason = without_reason(text, read_phrases())
    found = _first(head, means) if head != text else set()
    if _first(reason, means) == found:
        return found
    return set() if "," in reason or takes_back(reason, found, turned) else found


def _first(text: str, means: Means) -> set[str]:
    """Return the answers that the first of the forms of a text means that means any."""
    return next(filter(None, map(means, forms(text, read_phrases()))), set())


def only(answers: set[str]) -> str | None:
    """Return the answer if there is exactly one."""
    return next(iter(answers)) if len(answers) == 1 else None
