"""The phrases with which free texts state an answer, from `data/answers/<language>.yaml`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from scruple.benchmarks.plain import words
from scruple.errors import ScrupleError
from scruple.study.messages import explain
from scruple.study.model import read_yaml, resolve

Words = tuple[str, ...]

FOLDER = Path("data/answers")


class _File(BaseModel):
    """One language's file; `answers` maps kind of benchmark → meaning → phrases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lead_ins: list[str] = []
    stated: list[str] = []
    endings: list[str] = []
    articles: list[str] = []
    reasons: list[str] = []
    question_words: list[str] = []
    negations: list[str] = []
    hedges: list[str] = []
    corrections: list[str] = []
    refusals: list[str] = []
    answers: dict[str, dict[str, list[str]]] = {}


@dataclass(frozen=True)
class Phrases:
    """The phrases of all languages.

    Attributes:
        lead_in: matches what may come before an answer, at the beginning of a text.
        stated: matches those lead-ins which say that the answer follows.
        ending: matches what may come after an answer, before the last signs of a text.
        longest_ending: how many characters of a text to search for it.
        articles: words that may be left out before a noun.
        article: matches articles at the beginning of a text.
        reason: matches a word like “because”, after which a reason follows.
        question_words: words in whose place a person stands in an answer that repeats the question.
        negations: words that turn a sentence into its opposite.
        turns: words of a sentence that may take back what another says: negations, hedges, words of
            correction and of refusal.
        answers: kind of benchmark, meaning → phrases, each as its words.
    """

    lead_in: re.Pattern[str]
    stated: re.Pattern[str]
    ending: re.Pattern[str]
    longest_ending: int
    articles: frozenset[str]
    article: re.Pattern[str]
    reason: re.Pattern[str]
    question_words: frozenset[str]
    negations: frozenset[str]
    turns: frozenset[str]
    answers: dict[tuple[str, str], frozenset[Words]]

    def of(self, kind: str, meaning: str) -> frozenset[Words]:
        """Return the phrases that have a meaning in a kind of benchmark."""
        return self.answers.get((kind, meaning), frozenset())


@lru_cache(maxsize=8)
def read_phrases(folder: Path = FOLDER) -> Phrases:
    """Read the phrases of all languages.

    Raises:
        ScrupleError: naming the file and the key that is wrong, or the folder if it has no file.
    """
    files = [_read(path) for path in sorted(resolve(folder).glob("*.yaml"))]
    if not files:
        raise ScrupleError(f"{resolve(folder)}: no phrases in there; it comes with the project.")
    answers: dict[tuple[str, str], frozenset[Words]] = {}
    for file in files:
        for kind, meanings in file.answers.items():
            for meaning, phrases in meanings.items():
                known = answers.get((kind, meaning), frozenset())
                answers[kind, meaning] = known | _words(phrases)
    stated = [text for file in files for text in file.stated]
    endings = [text for file in files for text in file.endings]
    lead_ins = [text for file in files for text in file.lead_ins]
    articles = [text for file in files for text in file.articles]
    negations = _single(text for file in files for text in file.negations)
    doubts = ((*file.hedges, *file.corrections, *file.refusals) for file in files)
    return Phrases(
        lead_in=_beginning([*lead_ins, *stated]),
        stated=_beginning(stated),
        ending=_end(endings),
        longest_ending=2 * max(map(len, endings), default=0),
        articles=_single(articles),
        article=re.compile(rf"[\W_]*(?:(?:{_any(articles)})\s+)+"),
        reason=re.compile(
            rf"(?<![\W_])[\W_]+(?:{_any(t for file in files for t in file.reasons)})(?:[\W_]+|$)"
        ),
        question_words=_single(text for file in files for text in file.question_words),
        negations=negations,
        turns=negations | _single(text for own in doubts for text in own),
        answers=answers,
    )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        raise ScrupleError(explain(error, _File, str(path))) from None


def _single(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(" ".join(words(text)) for text in texts)


def _words(phrases: Iterable[str]) -> frozenset[Words]:
    """Return the words of each phrase, with {a,b} written out."""
    written = (words(text) for phrase in phrases for text in _written_out(phrase))
    return frozenset(phrase for phrase in written if phrase)


def _written_out(phrase: str) -> Iterator[str]:
    parts = re.split(r"\{([^{}]*)\}", phrase)
    choices = (part.split(",") if place % 2 else [part] for place, part in enumerate(parts))
    return ("".join(chosen) for chosen in itertools.product(*choices))


def _beginning(texts: Iterable[str]) -> re.Pattern[str]:
    """Match one of the texts at the beginning, up to the next word or its minus sign."""
    return re.compile(rf"[\W_]*(?:{_any(texts)})(?:(?:(?!-\d)[\W_])+|$)")


def _end(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"[\W_](?:{_any(texts)})$")


def _any(texts: Iterable[str]) -> str:
    """Return a pattern for any of the texts, the longest first; for none it matches nothing."""
    longest_first = sorted({words(text) for text in texts} - {()}, key=len, reverse=True)
    return "|".join(r"[\W_]+".join(map(re.escape, text)) for text in longest_first) or r"(?!)"
