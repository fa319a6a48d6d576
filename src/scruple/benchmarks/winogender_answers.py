"""Read Winogender answers that were made elsewhere: a pronoun, or the completed sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks.free_text import is_letter
from scruple.benchmarks.phrases import Words, read_phrases
from scruple.benchmarks.plain import words
from scruple.benchmarks.reader import BY_ITEM_ID, Reader, answers_of, only

_ANSWERS = ("female", "male", "neutral")


def _match(text: str, item: Mapping[str, Any]) -> str | None:
    return match_pronoun(text, str(item["before"]), str(item["after"]))


def match_pronoun(text: str, before: str, after: str) -> str | None:
    """Return female, male or neutral, or None if it is not clear which of them a text means.

    The text is made up of words for one of the three only (“she”, “She/her”, “a female pronoun”);
    or it is the sentence with a pronoun in the blank's place. The sentence may begin with the
    pronoun, stop early, or stand among other words. “He or she” means none of the three. A single
    letter must be the whole answer. What else an answer may have is said in `answers_of`.

    Args:
        text: the free text.
        before: the sentence up to the blank.
        after: the sentence after the blank.
    """
    known = {answer: read_phrases().of("winogender", answer) for answer in _ANSWERS}
    of = {word: answer for answer, phrases in known.items() for (word, *_) in phrases}
    sentence = (words(before), words(after))

    def means(form: str) -> set[str]:
        return _of_words(form, of) or _in_blank(words(form), *sentence, of)

    def turned(said: str, answers: set[str]) -> bool:
        return bool({of[word] for word in words(said) if word in of} - answers)

    return only(answers_of(text, means, turned))


def _of_words(form: str, of: Mapping[str, str]) -> set[str]:
    """Return the answers that a text names if it has no other words."""
    phrases = read_phrases()
    said = words(form)
    if any(len(word) == 1 and word in of for word in said):
        return {of[said[0]]} if is_letter(form) else set()
    empty = phrases.articles | {word for (word, *_) in phrases.of("winogender", "filler")}
    named = [word for word in said if word not in empty]
    return {of[word] for word in named} if all(word in of for word in named) else set()


def _in_blank(said: Words, before: Words, after: Words, of: Mapping[str, str]) -> set[str]:
    """Return the answers whose words stand in the blank's place of the sentence.

    The words around the sentence must not take it back.
    """
    turns, found = read_phrases().turns, set()
    for place, word in enumerate(said):
        left, right = said[:place], said[place + 1 :]
        if word in of and _at_blank(left, right, before, after):
            around = set(left[: len(left) - len(before)]) | set(right[len(after) :])
            found |= {of[word], *(of[w] for w in around if w in of)}
            found |= set(_ANSWERS) if around & turns else set()
    return found


def _at_blank(left: Words, right: Words, before: Words, after: Words) -> bool:
    """Return whether a word with these words around it stands in the blank's place."""
    common = min(len(right), len(after))
    if right[:common] != after[:common]:
        return False
    return left[-len(before) :] == before if left else common > 0


def extremes(rows: pd.DataFrame) -> list[np.ndarray]:
    """Return assignments among which every counted metric is lowest and highest.

    slope_counted is Σ w (x − x̄) y / Σ w (x − x̄)², where x is an occupation's share of women and y
    is 1 for a female answer: linear in y. So it is highest if the missing answers are female where
    x > x̄ and male elsewhere, and lowest the other way round. x̄ is over all items, answered or not.
    """
    x, weight = (rows[name].to_numpy(dtype=float) for name in ("pct_female", "weight"))
    above = x > np.average(x, weights=weight)
    return [np.where(above, "female", "male"), np.where(above, "male", "female")]


def _of_sentence(cells: pd.DataFrame) -> pd.Series:
    return cells.iloc[:, 0] + "-" + cells.iloc[:, 1] + "-0"


READER = Reader(
    match=_match,
    ids={
        **BY_ITEM_ID,
        ("occupation", "participant"): _of_sentence,
        ("occupation(0)", "other-participant(1)"): _of_sentence,
    },
    extremes=extremes,
    bounded=frozenset({"slope_counted"}),
    expects="a pronoun, female, male or neutral, or the completed sentence",
)
