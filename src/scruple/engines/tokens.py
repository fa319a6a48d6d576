"""Candidates are tokenised in their context, not alone: this finds where they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scruple.engines import ScoreRequest
from scruple.errors import ScrupleError

_TAIL = 40
"""Characters of a prompt by whose side its candidates are told apart."""
_SPECIAL = 8
"""Tokens that a tokenizer may add to any text."""


@dataclass(frozen=True)
class Encoded:
    """A request in tokens.

    Attributes:
        context: the tokens that all candidates share.
        candidates: the tokens of each candidate after the context; never empty.
    """

    context: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]


def encode(tokenizer: Any, requests: Sequence[ScoreRequest]) -> list[Encoded]:
    """Tokenise prompt and candidate together, for each candidate.

    The context ends where the tokenisations of prompt and prompt-plus-candidate first differ, for
    any of the candidates: where a candidate melts into the prompt's last token, that token counts
    as part of the candidates, so that all of them are read from the same point. Equal requests, as
    those of equal reasonings are, are tokenised once.

    Raises:
        ScrupleError: naming the request whose candidates have the same tokens, or an empty prompt.
    """
    distinct = {_content(request): request for request in reversed(requests)}
    encoded: dict[Any, Encoded] = {}
    for special in (True, False):
        chosen = [key for key, request in distinct.items() if request.special == special]
        texts = [
            distinct[key].prompt + c for key in chosen for c in ("", *distinct[key].candidates)
        ]
        if not texts:
            continue
        ids = iter(tokenizer(texts, add_special_tokens=special)["input_ids"])
        for key in chosen:
            prompt = _without_end(tokenizer, next(ids))
            whole = [_without_end(tokenizer, next(ids)) for _ in distinct[key].candidates]
            encoded[key] = _split(distinct[key], prompt, whole)
    return [encoded[_content(request)] for request in requests]


def check_fit(
    tokenizer: Any, window: int | None, requests: Sequence[ScoreRequest], reserve: int
) -> None:
    """Refuse requests that cannot be scored, before anything expensive runs.

    Candidates are told apart by the end of a prompt, and a text of few bytes has few tokens: so
    few prompts need to be tokenised whole.

    Args:
        tokenizer: the checkpoint's.
        window: the most tokens that it can read; None if there is no limit.
        requests: what will be asked.
        reserve: tokens that sampled reasoning may add.

    Raises:
        ScrupleError: naming the request.
    """
    encode(tokenizer, [replace(request, prompt=request.prompt[-_TAIL:]) for request in requests])
    if window is None:
        return
    near = [request for request in requests if _most_tokens(request) + reserve > window]
    for request, encoded in zip(near, encode(tokenizer, near), strict=True):
        longest = len(encoded.context) + max(len(c) for c in encoded.candidates) + reserve
        if longest > window:
            raise ScrupleError(
                f"{request.key}: the prompt needs up to {longest} tokens, {reserve} of them for "
                f"reasoning, and the model's window has {window}; leave the benchmark or "
                "checkpoint out, or lower `decoding.max_new_tokens`."
            )


def _most_tokens(request: ScoreRequest) -> int:
    """Return more tokens than a request can have: no tokenizer makes more than one of a byte."""
    candidate = max(len(form.encode()) for form in request.candidates)
    return len(request.prompt.encode()) + candidate + _SPECIAL


def _content(request: ScoreRequest) -> tuple[Any, ...]:
    """Return all of a request but its name."""
    return request.prompt, request.candidates, request.answers, request.special


def _without_end(tokenizer: Any, ids: Sequence[int]) -> Sequence[int]:
    """Drop an end token that the tokenizer put behind the text."""
    if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
        return ids[:-1]
    return ids


def _split(request: ScoreRequest, prompt: Sequence[int], whole: list[Sequence[int]]) -> Encoded:
    shared = 0
    for tokens in zip(prompt, *whole, strict=False):
        if len(set(tokens)) > 1:
            break
        shared += 1
    candidates = tuple(tuple(ids[shared:]) for ids in whole)
    if shared == 0:
        raise ScrupleError(
            f"{request.key}: the prompt has no token of its own before the candidates; make the "
            "lead-in in the prompt file longer."
        )
    for i, candidate in enumerate(candidates):
        first = candidates.index(candidate)
        if not candidate or request.answers[first] != request.answers[i]:
            raise ScrupleError(
                f"{request.key}: the checkpoint's tokenizer cannot tell the answers "
                f"{request.candidates[first]!r} and {request.candidates[i]!r} apart; change the "
                "candidates in the prompt file, or take another checkpoint."
            )
    return Encoded(tuple(prompt[:shared]), candidates)


def independent(candidates: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the candidates that neither continue another one nor repeat an earlier one.

    The events "the text goes on with candidate i" of these exclude each other, so their
    probabilities may be added.
    """
    return [
        i
        for i, candidate in enumerate(candidates)
        if not any(
            other == candidate[: len(other)] and (other != candidate or j < i)
            for j, other in enumerate(candidates)
            if j != i
        )
    ]
