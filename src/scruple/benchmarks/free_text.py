"""Read a free text as an answer: the forms in which it may be meant, and its parts."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from scruple.benchmarks.phrases import Phrases, Words
from scruple.benchmarks.plain import is_of_words, plain, words

_THOUGHT = re.compile(
    r"[<\[◁][^\w/<>\[\]]{0,3}(/|end)?[^<>\[\]\n]{0,20}?"
    r"(?:think|thought|reason|reflect|scratchpad|analysis|\bcot\b)[^<>\[\]▷\n]{0,40}[>\]▷]"
)
"""The mark before or after reasoning, which closes it if it has a slash or an “end”."""
_TAG = re.compile(r"<[^<>\n]{1,60}>")
_HARMLESS_TAG = re.compile(
    r"</?(?:answer|final|final[_ ]answer|response|output|result|b|i|u|em|strong|p|br ?/?|code|pre|"
    r"span|div)>|</s>"
)
_TEX = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\b")
_MARKUP = re.compile(r'[*#$"“”„‟«»「」『』]|_+')
_NO_ANSWER = re.compile(r"[?¿؟~]|\[\s*\]|^\s*!|#\s*\d")
"""A question, a text that is crossed out, an empty box, a sign for “not”, a rank (“#1”)."""
_LONGEST = 20_000
"""The most characters of an answer, without the reasoning before it."""
_SIGNS = "<>=+|^`"
_MOST = 12
"""The most forms of one text; who piles up more lead-ins does not answer."""
_SENTENCE_ENDS = re.compile(r"(?<=[.!。！])\s+")
_FINISHED = re.compile(r"[.!。！][\s)\]}]*$")
_LETTER = re.compile(r"[\s(\[{]*[^\W\d_][\s)\]}.!:]*")
_NUMBERED = re.compile(r"\s*(\d+)[.)]\s+(.*)")


@dataclass(frozen=True)
class Part:
    """A sentence or line.

    Attributes:
        text: the tidy text.
        alone: whether it is the first sentence, or the first line, or the last one behind a
            finished sentence.
    """

    text: str
    alone: bool


def tidy(text: str) -> str:
    """Return a text in plain form, without markup, and without closed reasoning before it.

    Nothing is left of a text that is no statement: one with reasoning that is not closed, a
    question, something crossed out (~, a tag), or a sign such as ❌ or ≠; nor of one with circled
    or raised numbers, or of more than 20,000 characters.
    """
    said = _after_thoughts(plain(_plain_numbers(text)))
    said = _TEX.sub(" ", _HARMLESS_TAG.sub(" ", said))
    if len(said) > _LONGEST or _NO_ANSWER.search(said) or _TAG.search(said) or "<!" in said:
        return ""
    signs = (c for c in said if c not in _SIGNS)
    if any(unicodedata.category(c) in ("So", "Sm", "No") for c in signs):
        return ""
    return _MARKUP.sub(" ", said).strip()


def _plain_numbers(text: str) -> str:
    """Return a text with a question mark for circled numbers, which would become plain ones."""
    return "".join("?" if unicodedata.category(c) == "No" else c for c in text)


def _after_thoughts(text: str) -> str:
    marks = list(_THOUGHT.finditer(text))
    if not marks:
        return text
    return text[marks[-1].end() :] if marks[-1][1] else ""


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
    rest = text[found.end() :].strip() if found else text
    cut_off = rest in phrases.articles and not phrases.stated.match(text)  # “It was a”
    return text if cut_off else rest


def _without_ending(text: str, phrases: Phrases) -> str:
    end = next((i for i in range(len(text), 0, -1) if is_of_words(text[i - 1])), 0)
    start = max(0, end - phrases.longest_ending)
    found = phrases.ending.search(text[start:end])
    return text[: start + found.start()].strip() if found else text


def without_stated(text: str, phrases: Phrases) -> str:
    """Return a text without a phrase like “the answer is” at its beginning."""
    found = phrases.stated.match(text)
    return text[found.end() :] if found else text


def without_reason(text: str, phrases: Phrases) -> tuple[str, str]:
    """Return what stands before a word like “because”, and what after it; else the text and ""."""
    found = phrases.reason.search(text)
    return (text[: found.start()], text[found.end() :]) if found else (text, "")


def is_letter(text: str) -> bool:
    """Return whether a text is a single letter, with or without brackets or a point."""
    return bool(_LETTER.fullmatch(text))


def bare(text: str, phrases: Phrases) -> Words:
    """Return the words of a text without the articles that it begins with."""
    found = phrases.article.match(text)
    return words(text[found.end() :] if found else text)


def parts(text: str) -> list[Part]:
    """Return the sentences and lines of a tidy text.

    A letter or number with a point is part of the sentence behind it in the same line; the numbers
    of a numbered list are left out.
    """
    lines = _without_numbering([line.strip() for line in text.split("\n") if line.strip()])
    found: list[Part] = []
    for place, line in enumerate(lines):
        own = _sentences(line)
        last = place == len(lines) - 1 and bool(_FINISHED.search(lines[place - 1]))
        edge = (not place or last) and len(own) == 1
        found += [Part(one, edge or not (place or i)) for i, one in enumerate(own)]
    return found


def _without_numbering(lines: list[str]) -> list[str]:
    found = [_NUMBERED.fullmatch(line) for line in lines]
    numbers = [one[1] for one in found if one]
    if len(lines) < 2 or numbers != [str(i + 1) for i in range(len(lines))]:
        return lines
    return [one[2] for one in found if one]


def _sentences(line: str) -> list[str]:
    found: list[str] = []
    for one in _SENTENCE_ENDS.split(line):
        if found and sum(map(is_of_words, found[-1])) == 1:
            found[-1] += f" {one}"
        elif one.strip():
            found.append(one)
    return found


def within(phrase: Words, text: Words) -> int | None:
    """Return the place at which the words of a phrase follow each other in a text, if they do."""
    places = range(len(text) - len(phrase) + 1)
    return next((i for i in places if text[i : i + len(phrase)] == phrase), None)


def states(sentence: str, phrases: Phrases) -> bool:
    """Return whether a sentence begins with a phrase like “the answer is”."""
    return any(phrases.stated.match(form) for form in forms(sentence, phrases))
