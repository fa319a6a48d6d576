"""Read a free text as an answer: the forms in which it may be meant, and its parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from scruple.benchmarks.phrases import Phrases, Words
from scruple.benchmarks.plain import is_of_words, plain

_TAGS = re.compile(r"</?[a-z]+>|\\(?:boxed|text|textbf|mathrm|mathbf)\b")
_MARKUP = re.compile(r'[*#$~"“”„‟«»「」『』]|_+')
_MOST = 12
"""The most forms of one text; who piles up more lead-ins does not answer."""
_SENTENCE_ENDS = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def tidy(text: str) -> str:
    """Return a text in plain form, without markup, and without reasoning up to </think>.

    Circled numbers are removed: they count from 1, and would otherwise become plain numbers.
    """
    text = "".join(" " if unicodedata.category(c) == "No" else c for c in text)
    said = plain(text).rpartition("</think>")[2]
    return _MARKUP.sub(" ", _TAGS.sub(" ", said)).strip()


def forms(text: str, phrases: Phrases) -> list[str]:
    """Return a tidy text, and what remains of it without lead-ins and endings, longest first."""
    found = [text]
    for form in found:  # which grows
        for shorter in (_without_lead_in(form, phrases), _without_ending(form, phrases)):
            if shorter not in found and len(found) < _MOST:
                found.append(shorter)
    return [form for form in found if form]


def _without_lead_in(text: str, phrases: Phrases) -> str:
    found = phrases.lead_in.match(text)
    return text[found.end() :].strip() if found else text


def _without_ending(text: str, phrases: Phrases) -> str:
    end = next((i for i in range(len(text), 0, -1) if is_of_words(text[i - 1])), 0)
    start = max(0, end - phrases.longest_ending)
    found = phrases.ending.search(text[start:end])
    return text[: start + found.start()].strip() if found else text


def core(text: Words, phrases: Phrases) -> Words:
    """Return words without the articles that they begin with."""
    place = next((i for i, word in enumerate(text) if word not in phrases.articles), len(text))
    return text[place:]


def statements(text: str, phrases: Phrases) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a tidy text that can be an answer of their own, and whether they say so.

    These are the first and the last line, and sentences that begin with a phrase like “the answer
    is”, which do say so. So “C”, an empty line and an explanation is read as “C”.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        yield from ((lines[0], False), (lines[-1], False))
    parts = sentences(text)
    if len(parts) > 1:
        yield from ((one, True) for one in parts if _states(one, phrases))


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text."""
    return [part for part in _SENTENCE_ENDS.split(text) if part.strip()]


def within(phrase: Words, text: Words) -> bool:
    """Return whether the words of a phrase follow each other somewhere in a text."""
    return f" {' '.join(phrase)} " in f" {' '.join(text)} "


def _states(sentence: str, phrases: Phrases) -> bool:
    return any(phrases.stated.match(form) for form in forms(sentence, phrases))
