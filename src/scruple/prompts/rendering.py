"""Rendering of turns as the text that a checkpoint reads."""

from __future__ import annotations

from typing import Any

from scruple.errors import ScrupleError
from scruple.prompts.files import Dialogue, Turns


class Renderer:
    """Renders turns as text, with the tokenizer's chat template or as plain dialogue.

    Attributes:
        format: the format in use, `chat` or `dialogue`.
        special: whether the tokenizer must add its special tokens (a chat template already contains
            them).
    """

    def __init__(self, format: str, dialogue: Dialogue, tokenizer: Any, checkpoint: str) -> None:
        """Choose the format: `auto` uses the chat template if the tokenizer has one.

        Raises:
            ScrupleError: if the format is `chat` and the tokenizer has no chat template.
        """
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if format == "chat" and not has_template:
            raise ScrupleError(
                f"checkpoint {checkpoint}: the config asks for `format: chat`, and its tokenizer "
                "has no chat template; set `format` to auto or dialogue."
            )
        use_chat = has_template if format == "auto" else format == "chat"
        self.format = "chat" if use_chat else "dialogue"
        self.special = not use_chat
        self._dialogue = dialogue
        self._tokenizer = tokenizer

    def reasoning_prompt(self, turns: Turns) -> str:
        """Return the text that the model continues with its reasoning."""
        assert turns.opening is not None
        return self._open([("user", turns.human)], turns.opening)

    def scored_prompt(self, turns: Turns, reasoning: str = "") -> str:
        """Return the text up to the point where the answer begins.

        Args:
            turns: the item's turns.
            reasoning: the sampled reasoning, if the turns have one.
        """
        messages = [("user", turns.human)]
        if turns.opening is not None:
            messages.append(("assistant", turns.opening + reasoning))
            messages.append(("user", turns.final))
        return self._open(messages, turns.lead_in)

    def stop(self) -> str | None:
        """Return the stop string of plain dialogue; None if turns end with an end token."""
        end = getattr(self._tokenizer, "eos_token", None)
        if self.format == "chat" or (end and end in self._dialogue.separator):
            return None
        return self._dialogue.separator + self._dialogue.human

    def _open(self, messages: list[tuple[str, str]], lead_in: str) -> str:
        if self.format == "chat":
            conversation = [{"role": role, "content": content} for role, content in messages]
            text = self._tokenizer.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True
            )
            return str(text) + lead_in
        names = {"user": self._dialogue.human, "assistant": self._dialogue.assistant}
        turns = [f"{names[role]} {content}" for role, content in messages]
        turns.append(f"{self._dialogue.assistant} {lead_in}")
        return self._dialogue.separator.join(turns)
