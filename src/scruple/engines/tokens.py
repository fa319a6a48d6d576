"""Tokenise candidates together with their prompt, and find where they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scruple.engines import GenerateRequest, ScoreRequest
from scruple.engines.prefix_tree import Tokens
from scruple.errors import ScrupleError

_TAIL = 40
"""Characters at the end of a prompt that suffice to check that its candidates differ in tokens."""
_WHOLE = 50
"""The number of prompts that are tokenised in full to check that the model knows their tokens."""
_SPECIAL = 8
"""Allowance for the special tokens that a tokenizer adds to a text."""


@dataclass(frozen=True)
class Encoded:
    """A tokenised request.

    Attributes:
        context: the tokens before the candidates, the same for all of them.
        candidates: the tokens of each candidate after the context; never empty.
    """

    context: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]


def encode(
    tokenizer: Any, requests: Sequence[ScoreRequest], rows: int | None = None
) -> list[Encoded]:
    """Tokenise the prompt together with each candidate.

    The context ends at the first token in which the prompt and any prompt-plus-candidate differ. If
    a candidate merges with the prompt's last token, that token belongs to the candidates, so that
    all of them are scored from the same point. Equal requests, for example after equal reasoning,
    are tokenised once.

    Args:
        tokenizer: the checkpoint's tokenizer.
        requests: the requests.
        rows: the number of tokens that the model knows; None to skip the check.

    Raises:
        ScrupleError: naming the request, if candidates of different answers have the same tokens, a
            candidate has none, no token of the prompt comes before the candidates, or the model
            does not know a token.
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
        ids = iter(tokenise(tokenizer, texts, special))
        for key in chosen:
            prompt = next(ids)
            whole = [next(ids) for _ in distinct[key].candidates]
            encoded[key] = _split(distinct[key], prompt, whole)
            for tokens in (prompt, *whole):
                check_known(tokenizer, distinct[key].key, tokens, rows)
    return [encoded[_content(request)] for request in requests]


def check_fit(
    tokenizer: Any,
    window: int | None,
    requests: Sequence[ScoreRequest],
    reserve: int,
    rows: int | None = None,
) -> None:
    """Raise an error if a request cannot be scored, before anything expensive runs.

    For speed, few prompts are tokenised in full. The end of a prompt suffices to check that its
    candidates differ. A text cannot have more tokens than bytes, so only texts with enough bytes to
    exceed the window are checked against it.

    Args:
        tokenizer: the checkpoint's tokenizer.
        window: the most tokens that the checkpoint can read; None if there is no limit.
        requests: the requests to check.
        reserve: the number of tokens that sampled reasoning may add.
        rows: the number of tokens that the model knows; None to skip the check.

    Raises:
        ScrupleError: naming the request, if its candidates cannot be distinguished, it does not fit
            into the window, or it has a token that the model does not know.
    """
    tails = [replace(request, prompt=request.prompt[-_TAIL:]) for request in requests]
    encode(tokenizer, tails, rows)
    encode(tokenizer, requests[:: max(1, len(requests) // _WHOLE)], rows)
    if window is None:
        return
    near = [request for request in requests if _most_tokens(request) + reserve > window]
    for request, encoded in zip(near, encode(tokenizer, near, rows), strict=True):
        longest = len(encoded.context) + max(len(c) for c in encoded.candidates) + reserve
        if longest > window:
            raise ScrupleError(
                f"{request.key}: the prompt needs up to {longest} tokens, {reserve} of them for "
                f"reasoning, and the model's window has {window}; leave the benchmark or "
                "checkpoint out, or lower `decoding.max_new_tokens`."
            )


def _most_tokens(request: ScoreRequest) -> int:
    """Return an upper bound on a request's tokens: at most one per byte, plus special tokens."""
    candidate = max(len(form.encode()) for form in request.candidates)
    return len(request.prompt.encode()) + candidate + _SPECIAL


def _content(request: ScoreRequest) -> tuple[Any, ...]:
    """Return everything about a request except its key, to recognise equal requests."""
    return request.prompt, request.candidates, request.answers, request.special


def tokenise(tokenizer: Any, texts: Sequence[str], special: bool) -> list[Tokens]:
    """Return the tokens of texts that go on: without those that the tokenizer puts behind a text.

    Args:
        tokenizer: the checkpoint's tokenizer.
        texts: the texts; at least one.
        special: whether the tokenizer adds its special tokens.
    """
    ids = tokenizer(list(texts), add_special_tokens=special)["input_ids"]
    end = appended(tokenizer) if special else ()
    return [
        tuple(row[: -len(end)]) if end and tuple(row[-len(end) :]) == end else tuple(row)
        for row in ids
    ]


def tokenise_prompts(
    tokenizer: Any, requests: Sequence[GenerateRequest | ScoreRequest], rows: int | None = None
) -> list[Tokens]:
    """Return the tokens of requests' prompts; equal prompts are tokenised once.

    Args:
        tokenizer: the checkpoint's tokenizer.
        requests: the prompts.
        rows: the number of tokens that the model knows; None to skip the check.

    Raises:
        ScrupleError: naming the request, if one of its tokens is not known to the model.
    """
    known: dict[tuple[str, bool], Tokens] = {}
    for special in (True, False):
        texts = sorted({one.prompt for one in requests if one.special == special})
        if texts:
            found = tokenise(tokenizer, texts, special)
            known |= {(text, special): row for text, row in zip(texts, found, strict=True)}
    for one in requests:
        check_known(tokenizer, one.key, known[one.prompt, one.special], rows)
    return [known[request.prompt, request.special] for request in requests]


def appended(tokenizer: Any) -> Tokens:
    """Return the special tokens that a tokenizer puts behind every text."""
    alone = tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(ids) - len(alone) + 1):
        if ids[start : start + len(alone)] == alone:
            return tuple(ids[start + len(alone) :])
    return tuple(ids[-1:]) if ids[-1:] == [tokenizer.eos_token_id] else ()


def check_known(tokenizer: Any, key: str, tokens: Sequence[int], rows: int | None) -> None:
    """Raise an error if a tokenizer gives a token that the model has no embedding for.

    Args:
        tokenizer: the checkpoint's tokenizer.
        key: the name of the request.
        tokens: the tokens of its text.
        rows: the number of tokens that the model knows; None to skip the check.

    Raises:
        ScrupleError: naming the request and the token.
    """
    largest = max(tokens, default=0)
    if rows is None or largest < rows:
        return
    text = tokenizer.convert_ids_to_tokens(largest)
    raise ScrupleError(
        f"{key}: the tokenizer gives the token {text!r} (number {largest}), and the model knows "
        f"only {rows} tokens (0 to {rows - 1}): tokenizer and weights are not of one checkpoint, "
        "or tokens were added without training. Fetch the checkpoint's own tokenizer, or leave "
        "the checkpoint out."
    )


def _split(request: ScoreRequest, prompt: Sequence[int], whole: Sequence[Sequence[int]]) -> Encoded:
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
    """Return the indices of candidates that neither extend another one nor repeat an earlier one.

    No two of these can begin the same continuation, so their probabilities may be added.
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
