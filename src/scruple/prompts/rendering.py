"""Rendering of turns as the text that a checkpoint reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scruple.errors import ScrupleError
from scruple.prompts.files import Dialogue, Turns
from scruple.prompts.frame import Frame, Unfit
from scruple.prompts.marks import Marks, line
from scruple.prompts.template import differing, learn
from scruple.study.families import Writing


class Renderer:
    """Renders turns as text, with the tokenizer's chat template or as plain dialogue.

    Attributes:
        format: the format in use, `chat` or `dialogue`.
        special: whether the tokenizer must add its special tokens (a chat template already contains
            them).
        marks: where the assistant's turn ends, and where another turn begins.
    """

    def __init__(
        self, writing: Writing, dialogue: Dialogue, tokenizer: Any, checkpoint: str
    ) -> None:
        """Choose the format: `auto` uses the chat template if the tokenizer has one.

        Args:
            writing: how turns are written for this checkpoint.
            dialogue: how turns are written as plain text.
            tokenizer: the checkpoint's tokenizer; None if it is known to have no chat template.
            checkpoint: the checkpoint's name, for messages.

        Raises:
            ScrupleError: if the format is `chat` and the tokenizer has no chat template, or if the
                template cannot be used: it fails, or prompts made with it would not be what is
                meant.
        """
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if writing.format == "chat" and not has_template:
            raise ScrupleError(
                f"checkpoint {checkpoint}: the config asks for `format: chat`, and its tokenizer "
                "has no chat template; set `format` to auto or dialogue."
            )
        use_chat = writing.format == "chat" or (writing.format == "auto" and has_template)
        self.format = "chat" if use_chat else "dialogue"
        self.special = not use_chat
        self._writing = writing
        self._dialogue = dialogue
        self._tokenizer = tokenizer
        self._checkpoint = checkpoint
        self._frame = self._learn() if use_chat else None
        self.marks = self._frame.marks if self._frame else self._labels()

    def reasoning_prompt(self, turns: Turns) -> str:
        """Return the text that the model continues with its reasoning."""
        assert turns.opening is not None
        return self._open([turns.human], turns.opening)

    def scored_prompt(self, turns: Turns, reasoning: str = "") -> str:
        """Return the text up to the point where the answer begins.

        Args:
            turns: the item's turns.
            reasoning: the sampled reasoning, if the turns have one.
        """
        return self._open(_texts(turns, reasoning), turns.lead_in)

    def check(self, asked: Sequence[Turns]) -> None:
        """Compare the prompts of some turns with what the chat template itself writes for them.

        Raises:
            ScrupleError: if they differ, since then the template treats some texts in its own way.
        """
        if self._frame is None:
            return
        conversations = list(dict.fromkeys(tuple(_texts(turns, "")) for turns in asked))
        name, date = self._writing.template, self._writing.date
        try:
            place = differing(self._tokenizer, name, date, self._frame, conversations)
        except Unfit as error:
            raise self._refusal(str(error)) from None
        if place is not None:
            raise self._refusal(f"treats this prompt unlike others: {conversations[place][0]!r}")

    def facts(self) -> dict[str, Any]:
        """Return how turns are written, as plain data for the record."""
        frame = self._frame
        return {
            "format": self.format,
            "template": (self._writing.template or "default") if frame else None,
            "parts": frame.parts if frame else None,
            "thought_closed_by": dict(frame.switches) if frame and frame.switches else None,
            "date": self._writing.date if frame and frame.dated else None,
            "turn_ends": list(self.marks.ends),
            "turn_starts": list(self.marks.starts),
        }

    def _learn(self) -> Frame:
        try:
            return learn(self._tokenizer, self._writing.template, self._writing.date)
        except Unfit as error:
            raise self._refusal(str(error)) from None

    def _refusal(self, why: str) -> ScrupleError:
        return ScrupleError(
            f"checkpoint {self._checkpoint}: its chat template {why}. The checkpoint is not asked, "
            "since its prompts would not be what is meant. Set `format: dialogue` for it, choose "
            "another of its templates (`template`), or leave it out."
        )

    def _labels(self) -> Marks:
        """Return the lines with which turns of plain dialogue begin."""
        names = (self._dialogue.human, self._dialogue.assistant)
        separator = self._dialogue.separator
        end = getattr(self._tokenizer, "eos_token", None)
        if end and end in separator:
            return Marks()  # turns end with an end token
        if "\n" in separator:
            return Marks(starts=tuple(map(line, names)))
        return Marks(starts=tuple(separator + name for name in names))

    def _open(self, texts: Sequence[str], lead_in: str) -> str:
        if self._frame is not None:
            return self._frame.fill(texts) + lead_in
        names = (self._dialogue.human, self._dialogue.assistant)
        turns = [f"{names[number % 2]} {text}" for number, text in enumerate(texts)]
        turns.append(f"{self._dialogue.assistant} {lead_in}")
        return self._dialogue.separator.join(turns)


def _texts(turns: Turns, reasoning: str) -> list[str]:
    """Return the texts of the turns before the scored one."""
    if turns.opening is None:
        return [turns.human]
    return [turns.human, turns.opening + reasoning, turns.final]


def check_writing(writing: Writing, tokenizer: Any, checkpoint: str) -> None:
    """Raise an error if turns cannot be written for a checkpoint as the config says.

    Raises:
        ScrupleError: as `Renderer` does.
    """
    Renderer(writing, Dialogue(human="", assistant="", separator=""), tokenizer, checkpoint)
