"""Which of an item's options does a text name?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from scruple.benchmarks.free_text import core, within
from scruple.benchmarks.phrases import Phrases, Words, read_phrases
from scruple.benchmarks.plain import words

_SHORTEST = 4
"""The fewest characters of a text that is taken for an option that was cut short."""
_FEWEST = 3
"""The fewest characters of a word that shows which person a text is about."""
_OTHER_LETTER = re.compile(r"\b[bc]\b|\(a\)")


@dataclass(frozen=True)
class Options:
    """The options of an item, as words.

    Attributes:
        full: the words of each option.
        nobody: the index of the option that names nobody, if known.
        question: the words of the question.
    """

    full: tuple[Words, ...]
    nobody: int | None
    question: frozenset[str]

    @classmethod
    @lru_cache(maxsize=100_000)
    def of(cls, texts: tuple[str, ...], nobody: int | None, question: str) -> Options:
        """Return the options with these texts."""
        return cls(tuple(map(words, texts)), nobody, frozenset(words(question)))

    def equal_to(self, text: str) -> set[int]:
        """Return the options with the same words as a text."""
        said = words(text)
        return {i for i, option in enumerate(self.full) if option and option == said}

    def like(self, text: str) -> set[int]:
        """Return the options with the same words as a text, but for articles at the beginning."""
        bare = core(words(text), self._phrases)
        return {i for i, option in enumerate(self._cores) if option and option == bare}

    def known_for(self, text: str) -> set[int]:
        """Return the option that names nobody if the text is a known phrase for it."""
        known, said = self._phrases.of("bbq", "nobody"), words(text)
        is_one = said in known or core(said, self._phrases) in known
        return {self.nobody} if is_one and self.nobody is not None else set()

    def named_by(self, text: str) -> set[int]:
        """Return the options that a text names in other words than exactly its own.

        1. The text begins with a known phrase for “nobody can tell”, or contains one that is clear
           by itself, and mentions no person or all of them: the option that names nobody.
        2. The text begins with the option, and goes on without a hedge, a negation that the
           question does not have, or a mention of another option.
        3. The option begins with the text, which has at least `_SHORTEST` characters.

        The first of these that any option passes decides.
        """
        said = words(text)
        bare = core(said, self._phrases)
        if self.nobody is not None and self._says_nobody(said):
            return {self.nobody}
        begun = {i for i in range(len(self.full)) if self._begins(bare, i)}
        return begun or self._cut_short(bare, text)

    def others_in(self, text: str, index: set[int]) -> bool:
        """Return whether a text may speak of another option than that of the index."""
        said = words(text)
        mentioned = {i for i in range(len(self.full)) if self._mentions(said, i)}
        return bool(mentioned - index or _OTHER_LETTER.search(text) or self._turns(said))

    @property
    def _phrases(self) -> Phrases:
        return read_phrases()

    @cached_property
    def _cores(self) -> tuple[Words, ...]:
        return tuple(core(option, self._phrases) for option in self.full)

    @cached_property
    def _own(self) -> tuple[frozenset[str], ...]:
        """Return the words of each option that no other option has, and the question neither."""
        sets = [set(option) for option in self._cores]
        common = self.question | self._phrases.articles
        return tuple(
            frozenset(
                word
                for word in mine.difference(common, *(s for s in sets if s is not mine))
                if len(word) >= _FEWEST or not word.isascii()
            )
            for mine in sets
        )

    @cached_property
    def _negative(self) -> bool:
        """Return whether the question has a negation, so that its answers can have one."""
        return bool(self._phrases.negations & self.question)

    def _says_nobody(self, said: Words) -> bool:
        known = self._phrases
        begins = any(said[: len(p)] == p for p in known.of("bbq", "nobody"))
        if not (begins or any(within(p, said) for p in known.of("bbq", "nobody_within"))):
            return False
        persons = set(range(len(self.full))) - {self.nobody}
        mentioned = {i for i in persons if self._mentions(said, i)}
        return mentioned in (set(), persons) and not self._turns(said)

    def _begins(self, said: Words, i: int) -> bool:
        option, rest = self._cores[i], said[len(self._cores[i]) :]
        if not option or said[: len(option)] != option:
            return False
        if any(self._mentions(rest, other) for other in range(len(self.full)) if other != i):
            return False
        if i != self.nobody and self._phrases.negations.intersection(rest) and not self._negative:
            return False
        return not self._turns(rest)

    def _cut_short(self, said: Words, text: str) -> set[int]:
        part = " ".join(said)
        if len(part) < _SHORTEST or self._phrases.lead_in.fullmatch(text):
            return set()
        return {i for i, option in enumerate(self._cores) if " ".join(option).startswith(part)}

    def _mentions(self, said: Words, i: int) -> bool:
        return bool(self._own[i] & set(said))

    def _turns(self, said: Words) -> bool:
        """Return whether a text hedges, with a word that the question does not have."""
        return bool(self._phrases.hedges.intersection(said) - self.question)
