"""A prompt and its sampled continuation as one text, and where the continuation ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scruple.engines import GenerateRequest, Generation
from scruple.prompts.marks import Marks

_BEFORE = 32
"""The number of tokens of the prompt that are decoded together with its continuation."""

Reason = Literal["end", "turn", "length"]


@dataclass(frozen=True)
class Ending:
    """What ends a continuation.

    Attributes:
        tokens: token → why the continuation ends there.
        texts: text → why the continuation ends there: every mark, since a model may spell out one
            that is a token of its own.
        last: the tokens that may complete one of the texts; None for any.
    """

    tokens: dict[int, Reason]
    texts: dict[str, Reason]
    last: frozenset[int] | None = None

    @property
    def longest(self) -> int:
        """Return the number of last tokens in which any of the texts can be found."""
        return max((len(text.encode()) + 1 for text in self.texts), default=0)

    def may_complete(self, token: int) -> bool:
        """Return whether a token may complete one of the texts."""
        return bool(self.texts) and (self.last is None or token in self.last)


class Continuations:
    """Turns sampled tokens into texts, as the tokenizer of a checkpoint reads them."""

    def __init__(self, tokenizer: Any, ends: int | Sequence[int] | None) -> None:
        """Take the tokenizer, and the end tokens of the checkpoint's generation config."""
        self._tokenizer = tokenizer
        stated = ends if isinstance(ends, Sequence) else [ends]
        self._ends = frozenset({*stated, tokenizer.eos_token_id} - {None})
        self._known: dict[Marks, Ending] = {}

    def ending(self, marks: Marks) -> Ending:
        """Return what ends a continuation: end tokens, and the marks of a turn."""
        if marks not in self._known:
            tokens: dict[int, Reason] = dict.fromkeys(self._ends, "end")
            texts: dict[str, Reason] = dict.fromkeys(marks.starts, "turn")
            for name in (*marks.ends, self._tokenizer.eos_token):
                if name:
                    texts[name] = "end"
            added = self._tokenizer.get_added_vocab()
            for name, reason in texts.items():
                if name in added:
                    tokens.setdefault(added[name], reason)
            self._known[marks] = Ending(tokens, texts, self._completing(texts))
        return self._known[marks]

    def finish(
        self, request: GenerateRequest, prompt: Sequence[int], sampled: Sequence[int]
    ) -> Generation:
        """Return sampled tokens as text, without end token and cut where the turn ends.

        The text is what the model wrote, special tokens included, so that it is read again as the
        same tokens. The number of tokens includes those of a text that ends the turn, but not an
        end token.

        Args:
            request: the request, with the prompt's text and the marks of the turn.
            prompt: the tokens of the prompt.
            sampled: the tokens after it, at least one.
        """
        ending = self.ending(request.marks)
        reason = ending.tokens.get(sampled[-1])
        length = len(sampled) - (reason is not None)
        text = self._after(request.prompt, prompt, sampled[:length])
        found = {text.index(mark): mark for mark in ending.texts if mark in text}
        if found:
            first = min(found)
            text, reason = text[:first], ending.texts[found[first]]
        if reason is None:
            text = text.rstrip("\ufffd")  # the limit may cut a character into halves
        return Generation(text.rstrip(), length, reason or "length")

    def _completing(self, texts: Iterable[str]) -> frozenset[int] | None:
        """Return the tokens that may complete one of some texts; None if that cannot be said.

        Vocabularies write ASCII characters as they are. Tokens for single bytes (`<0x5D>`) count.
        """
        ends = {text[-1] for text in texts}
        if not all(end.isascii() and end.isprintable() for end in ends):
            return None
        words = self._tokenizer.get_vocab().items()
        return frozenset(
            number for word, number in words if word.startswith("<0x") or ends & set(word)
        )

    def _after(self, written: str, prompt: Sequence[int], sampled: Sequence[int]) -> str:
        """Return the text of sampled tokens where they stand, behind the prompt.

        Decoded alone they may lose a leading blank, as with SentencePiece. Some decoders instead
        put a blank between all tokens, and none behind the last; one that the prompt ends with
        must not come twice.

        Args:
            written: the text of the prompt.
            prompt: its tokens.
            sampled: the tokens after it.
        """
        before = [int(token) for token in prompt[-_BEFORE:]]
        alone, both = (
            self._tokenizer.decode(
                ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
            for ids in (before, [*before, *sampled])
        )
        pairs = enumerate(zip(alone, both, strict=False))
        shared = next((place for place, (one, other) in pairs if one != other), len(alone))
        blanks = _blanks_after(written).removesuffix(_blanks_after(alone))
        return str(both)[shared:].removeprefix(blanks)


def _blanks_after(text: str) -> str:
    return text[len(text.rstrip()) :]
