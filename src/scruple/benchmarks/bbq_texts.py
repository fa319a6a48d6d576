"""Which of an item's options does a text name?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from scruple.benchmarks.free_text import bare, within
from scruple.benchmarks.phrases import Phrases, Words, read_phrases
from scruple.benchmarks.plain import plain, unaccented, words

_SHORTEST = 4
"""The fewest characters of a text that is taken for an option that was cut short."""
_FEWEST = 4
"""The fewest characters of a word of the option that names nobody, to count as a mention of it; and
of a word whose longer forms count as mentions too."""
_LONGEST = 60
"""The most words of a sentence that says that nobody can tell."""
_CODES = re.compile(
    r"\b(?:ans)?([0-2bc])\b|\b(a)\s*(?:[^\w\s]|$)|[(\[](a)\b|\ba\s+(?:is|was|would|or|and)\b|"
    r"\b(?:option|choice|letter|answer)\W+(a)\b|\b([d-z])\)"
)
"""What may be the index or letter of an option; “a” only where it can be no article."""


@dataclass(frozen=True)
class Options:
    """The options of an item, as words.

    Attributes:
        full: the words of each option.
        nobody: the index of the option that names nobody, if known.
        question: the words of the question.
        texts: the options in plain form.
    """

    full: tuple[Words, ...]
    nobody: int | None
    question: Words
    texts: tuple[str, ...]

    @classmethod
    @lru_cache(maxsize=100_000)
    def of(cls, texts: tuple[str, ...], nobody: int | None, question: str) -> Options:
        """Return the options with these texts."""
        plain_texts = tuple(plain(text).strip() for text in texts)
        return cls(tuple(map(words, texts)), nobody, words(question), plain_texts)

    def same_as(self, text: str) -> set[int]:
        """Return the options that are a text, sign by sign."""
        said = plain(text).strip()
        return {i for i, option in enumerate(self.texts) if self.full[i] and option == said}

    def equal_to(self, text: str) -> set[int]:
        """Return the options with the same words as a text."""
        said = words(text)
        return {i for i, option in enumerate(self.full) if option and option == said}

    def like(self, text: str) -> set[int]:
        """Return the options with the same words as a text, but for articles at the beginning.

        If there is none, accents on Latin, Greek and Cyrillic letters do not count.
        """
        said = bare(text, self._phrases)
        found = {i for i, option in enumerate(self._cores) if option and option == said}
        return found or {
            i
            for i, option in enumerate(self._cores)
            if option and _unaccented(option) == _unaccented(said)
        }

    def named_by(self, text: str) -> set[int]:
        """Return the options that a sentence names in other words than exactly its own.

        1. A known phrase for “nobody can tell”, with no other words than those of the question,
           “from the text” and the like, and “the one person or the other”.
        2. An option, and then the question again (“Who was late?”, “The grandson was late”).
        3. The beginning of an option that names a person, of at least `_SHORTEST` characters.

        The first of these that any option passes decides.
        """
        said = words(text)
        if self.nobody is not None and self._says_nobody(said):
            return {self.nobody}
        own = bare(text, self._phrases)
        repeated = {i for i, option in enumerate(self._cores) if own == option + self._predicate}
        return (repeated if self._predicate else set()) or self._cut_short(own, text)

    def turned(self, text: str, index: set[int]) -> bool:
        """Return whether a text may speak of another option than that of the index."""
        said = _unaccented(words(text))
        others = [self._own[i] for i in set(range(len(self.full))) - index]
        if any(_is_of(word, own) for word in said for other in others for own in other):
            return True
        return any(_index_of(found) not in index for found in _CODES.finditer(text))

    @property
    def _phrases(self) -> Phrases:
        return read_phrases()

    @cached_property
    def _cores(self) -> tuple[Words, ...]:
        return tuple(words(" ".join(bare(text, self._phrases))) for text in self.texts)

    @cached_property
    def _own(self) -> tuple[frozenset[str], ...]:
        """Return the words of each option that no other option has, and the question neither."""
        sets = [set(_unaccented(option)) for option in self._cores]
        common = set(_unaccented(self.question)) | self._phrases.articles
        return tuple(
            frozenset(
                word
                for word in mine.difference(common, *(s for s in sets if s is not mine))
                if i != self.nobody or len(word) >= _FEWEST or not word.isascii()
            )
            for i, mine in enumerate(sets)
        )

    @cached_property
    def _predicate(self) -> Words:
        """Return the question without its first word, if a person can stand in its place."""
        first = self.question[:1]
        return self.question[1:] if self._phrases.question_words.issuperset(first) else ()

    @cached_property
    def _harmless(self) -> tuple[Words, ...]:
        """Return what may stand beside a phrase for “nobody can tell”, the longest first."""
        persons = [own for i, own in enumerate(self._cores) if i != self.nobody and own]
        pairs = {
            (*one, joint, *article, *other)
            for one in persons
            for other in persons
            for joint in ("or", "and", "nor")
            for article in ((), *((word,) for word in self._phrases.articles))
            if one != other
        }
        asked = {(w,) for w in self.question} - {(w,) for w in self._phrases.negations}
        single = asked - {(word,) for own in self._own for word in own}
        given = self._phrases.of("bbq", "nobody_with") | self._phrases.of("bbq", "nobody_within")
        known = given | pairs | single | {self._predicate}
        return tuple(sorted(known - {()}, key=len, reverse=True))

    def _says_nobody(self, said: Words) -> bool:
        known = self._phrases
        if said in known.of("bbq", "nobody"):
            return True
        if len(said) > _LONGEST:
            return False
        for phrase in known.of("bbq", "nobody_begins") | known.of("bbq", "nobody_within"):
            place = within(phrase, said)
            if place is None or (place and phrase not in known.of("bbq", "nobody_within")):
                continue
            if self._is_harmless(said[:place]) and self._is_harmless(said[place + len(phrase) :]):
                return True
        return False

    def _is_harmless(self, said: Words) -> bool:
        while said:
            part = next((p for p in self._harmless if said[: len(p)] == p), None)
            if part is None:
                return False
            said = said[len(part) :]
        return True

    def _cut_short(self, said: Words, text: str) -> set[int]:
        part = " ".join(_unaccented(said))
        if len(part) < _SHORTEST or self._phrases.lead_in.fullmatch(text):
            return set()
        return {
            i
            for i, option in enumerate(self._cores)
            if i != self.nobody and " ".join(_unaccented(option)).startswith(part)
        }


def _unaccented(text: Words) -> Words:
    return tuple(map(unaccented, text))


def _is_of(word: str, own: str) -> bool:
    """Return whether a word is an option's own, or goes on from it (grandson, grandsons)."""
    return word == own or (len(own) >= _FEWEST and word.startswith(own))


def _index_of(code: re.Match[str]) -> int:
    """Return the index that a match of `_CODES` means; -1 for a letter of no option."""
    found = next(filter(None, code.groups()), "a")
    return int(found) if found.isdecimal() else "abc".find(found)
