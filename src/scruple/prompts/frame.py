"""What a chat template writes around the texts of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scruple.prompts.marks import Marks

Texts = Sequence[str]
"""The texts of a conversation: of the user, or of the user, the assistant and the user again."""


class Unfit(Exception):
    """A template cannot be used; the text says what it does. Higher ranks are closer to success."""

    def __init__(self, rank: int, text: str) -> None:
        super().__init__(rank, text)  # all arguments, so that it can be passed between processes
        self.rank = rank
        self.text = text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Around:
    """What a template writes around the texts of one kind of conversation.

    Attributes:
        pieces: the text before, between and after N texts, N + 1 of them; the last one opens the
            assistant's next turn.
        cut: for each text whether the template removes blanks at its beginning and at its end.
    """

    pieces: tuple[str, ...]
    cut: tuple[tuple[bool, bool], ...]

    def fill(self, texts: Texts) -> str:
        """Return the conversation with these texts."""
        written = [self.pieces[0]]
        for text, (left, right), piece in zip(texts, self.cut, self.pieces[1:], strict=True):
            text = text.lstrip() if left else text
            written += [text.rstrip() if right else text, piece]
        return "".join(written)


@dataclass(frozen=True)
class Frame:
    """What a template writes around texts.

    Attributes:
        question: around the user's single text.
        reasoning: around the user's text, the assistant's and the user's next one.
        marks: where an assistant's turn ends.
        parts: whether texts are passed as lists of parts, as multimodal templates require.
        switches: variables of the template that are set so that it leaves no thought open.
        dated: whether the template writes the date.
    """

    question: Around
    reasoning: Around
    marks: Marks
    parts: bool
    switches: Mapping[str, Any]
    dated: bool

    def fill(self, texts: Texts) -> str:
        """Return a conversation of one or three texts, up to where the assistant goes on."""
        return (self.question if len(texts) == 1 else self.reasoning).fill(texts)
