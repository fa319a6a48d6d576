"""Asks a checkpoint everything that a study wants to know of one benchmark."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from scruple.benchmarks import benchmark_module
from scruple.engines import Engine, GenerateRequest, Generation, Progress, ScoreRequest, Scores
from scruple.prompts import (
    Condition,
    PromptFile,
    Turns,
    build_turns,
    conditions_of,
    load_dialogue,
    load_prompts,
    wordings_of,
)
from scruple.rendering import Renderer
from scruple.study import Benchmark, Study

_PIECE = 4096
"""Asks that are held in memory at once."""

KEYS = ["item_id", "condition", "wording", "scoring", "order", "sample"]
"""What tells the rows of a response table apart."""

Bar = Callable[[str, int], Progress]
"""Makes a progress bar from a title and a total, and returns how to advance it."""


def schema_of(kind: str) -> pa.Schema:
    """Return the columns of a response table."""
    answers = benchmark_module(kind).ANSWERS
    numbers = [(name, pa.int32()) for name in ("order", "sample")]
    return pa.schema(
        [
            *((name, pa.string()) for name in KEYS[:4]),
            *numbers,
            ("answer", pa.string()),
            ("target", pa.string()),
            *((f"logprob_{answer}", pa.float64()) for answer in answers),
            *((f"tokens_{answer}", pa.int32()) for answer in answers),
            ("valid_mass", pa.float64()),
            ("reasoning", pa.string()),
            ("prompt_tokens", pa.int32()),
            ("reasoning_tokens", pa.int32()),
        ]
    )


@dataclass(frozen=True)
class Ask:
    """One row of the response table before it is answered.

    Attributes:
        keys: item_id, condition, wording, scoring, order and sample, as in KEYS.
        turns: the prompt.
        candidates: surface forms of each answer.
        target: the answer that the prompt asks for outright; empty unless it does.
        draw: names the reasoning that the prompt builds on: the keys but the scoring.
    """

    keys: tuple[str, str, str, str, int, int]
    turns: Turns
    candidates: dict[str, tuple[str, ...]]
    target: str

    @property
    def draw(self) -> tuple[str, str, str, int, int]:
        """Return the keys of the reasoning, which both scorings share."""
        item, condition, wording, _, order, sample = self.keys
        return item, condition, wording, order, sample


def seed_of(study: Study, benchmark: str, draw: tuple[str, str, str, int, int]) -> int:
    """Return the seed of one reasoning: a hash of the study and of what is asked."""
    text = "|".join(map(str, (study.study, study.seed, benchmark, *draw)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def build_asks(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> Iterator[Ask]:
    """Yield everything to ask about the items, in the order of the response table: by item."""
    prompts = load_prompts(study, benchmark.kind)
    asked = [
        (condition, wording)
        for condition in conditions_of(study, prompts)
        for wording in wordings_of(study, condition)
    ]
    for item in _records(items):
        for condition, wording in asked:
            yield from _asks_of(study, benchmark, prompts, condition, wording, item)


def count_work(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> int:
    """Return how many reasonings and answers there will be, without building any prompt."""
    prompts = load_prompts(study, benchmark.kind)
    scorings = len(benchmark_module(benchmark.kind).scorings(benchmark))
    draws = sum(_draws_of(study, weight) for weight in items["weight"])
    return benchmark.orders * sum(
        len(wordings_of(study, condition))
        # the reasoning is shared by all scorings
        * (draws * (scorings + 1) if condition.reasoning else len(items) * scorings)
        for condition in conditions_of(study, prompts)
    )


def _records(items: pd.DataFrame) -> Iterator[dict[Any, Any]]:
    columns = list(items.columns)
    for values in items.itertuples(index=False, name=None):
        yield dict(zip(columns, values, strict=True))


def _draws_of(study: Study, weight: float) -> int:
    """Return how often an item is reasoned about: once for each that it stands for, up to a cap."""
    stands_for = min(max(round(weight), 1), study.decoding.max_repeats)
    return study.decoding.samples * stands_for


def _asks_of(
    study: Study,
    benchmark: Benchmark,
    prompts: PromptFile,
    condition: Condition,
    wording: str,
    item: dict[Any, Any],
) -> Iterator[Ask]:
    module = benchmark_module(benchmark.kind)
    samples = _draws_of(study, item["weight"]) if condition.reasoning else 1
    name = condition.instruction
    demands = name is not None and "{target}" in prompts.instructions[name][wording]
    for scoring in module.scorings(benchmark):
        for order in range(benchmark.orders):
            question = module.question(item, prompts, scoring, order)
            turns = build_turns(prompts, condition, wording, question.slots, question.lead_in)
            for sample in range(samples):
                yield Ask(
                    (item["item_id"], condition.name, wording, scoring, order, sample),
                    turns,
                    question.candidates,
                    str(item["follow"]) if demands else "",
                )


def respond(
    study: Study,
    benchmark: Benchmark,
    items: pd.DataFrame,
    engine: Engine,
    format: str,
    checkpoint: str,
    bar: Bar,
) -> Iterator[pd.DataFrame]:
    """Yield the response table of one checkpoint on one benchmark, piece by piece.

    Args:
        study: conditions, wordings, decoding and seed.
        benchmark: which benchmark, with its scorings and option orders.
        items: the benchmark's items.
        engine: the loaded checkpoint.
        format: how turns are written (`auto`, `chat`, `dialogue`).
        checkpoint: its name, for messages.
        bar: makes progress bars.

    Yields:
        One row per item × condition × wording × scoring × order × sample: the KEYS; `answer`, the
        likeliest one; `target`, where the prompt asked for one; `logprob_<answer>` and, where
        candidates are whole texts, `tokens_<answer>`; `valid_mass`; `reasoning`; the numbers of
        tokens.

    Raises:
        ScrupleError: before any long work, if a prompt is too long for the checkpoint or its
            tokenizer cannot tell candidates apart.
    """
    renderer = Renderer(format, load_dialogue(study), engine.tokenizer, checkpoint)
    for asks in _batched(build_asks(study, benchmark, items), _PIECE):
        for reasons in (False, True):
            requests = [
                _score_request(ask, renderer, "", checkpoint)
                for ask in asks
                if _reasons(ask) == reasons
            ]
            engine.check(requests, study.decoding.max_new_tokens if reasons else 0)
    answers = benchmark_module(benchmark.kind).ANSWERS
    progress = bar(f"{checkpoint} {benchmark.name}", count_work(study, benchmark, items))
    for asks in _batched(build_asks(study, benchmark, items), _PIECE):
        reasoning = _reason(study, benchmark, asks, engine, renderer, checkpoint, progress)
        requests = [
            _score_request(ask, renderer, _text(reasoning.get(ask.draw)), checkpoint)
            for ask in asks
        ]
        scores = engine.score(requests, lambda found: progress(len(found)))
        rows = [
            _row(ask, request, result, reasoning.get(ask.draw), answers)
            for ask, request, result in zip(asks, requests, scores, strict=True)
        ]
        yield pd.DataFrame(rows)


def _batched(asks: Iterator[Ask], n: int) -> Iterator[list[Ask]]:
    while piece := list(itertools.islice(asks, n)):
        yield piece


def _reasons(ask: Ask) -> bool:
    return ask.turns.opening is not None


def _text(generation: Generation | None) -> str:
    """Return sampled text as it goes on from the opening sentence."""
    return generation.text if generation else ""


def _reason(
    study: Study,
    benchmark: Benchmark,
    asks: Sequence[Ask],
    engine: Engine,
    renderer: Renderer,
    checkpoint: str,
    progress: Progress,
) -> dict[tuple[str, str, str, int, int], Generation]:
    """Sample the reasoning of every ask that has one."""
    draws = {ask.draw: ask for ask in asks if _reasons(ask)}
    if not draws:
        return {}
    requests = [
        GenerateRequest(
            _name(ask, checkpoint),
            renderer.reasoning_prompt(ask.turns),
            seed_of(study, benchmark.name, draw),
            renderer.special,
            renderer.stop(),
        )
        for draw, ask in draws.items()
    ]
    generations = engine.generate(requests, study.decoding, lambda found: progress(len(found)))
    return dict(zip(draws, generations, strict=True))


def _name(ask: Ask, checkpoint: str) -> str:
    item, condition, wording, scoring, order, sample = ask.keys
    details = [part for part in (condition, wording, scoring) if part]
    details += [f"{name} {k}" for name, k in (("order", order), ("sample", sample)) if k]
    return f"checkpoint {checkpoint}, item {item} ({', '.join(details)})"


def _score_request(ask: Ask, renderer: Renderer, reasoning: str, checkpoint: str) -> ScoreRequest:
    forms = [(answer, form) for answer, each in ask.candidates.items() for form in each]
    return ScoreRequest(
        _name(ask, checkpoint),
        renderer.scored_prompt(ask.turns, reasoning),
        tuple(form for _, form in forms),
        tuple(answer for answer, _ in forms),
        renderer.special,
    )


def _row(
    ask: Ask,
    request: ScoreRequest,
    scores: Scores,
    reasoning: Generation | None,
    answers: tuple[str, ...],
) -> dict[str, Any]:
    logprobs: dict[str, float] = {}
    tokens: dict[str, int] = {}
    for answer in answers:
        own = [i for i, name in enumerate(request.answers) if name == answer]
        logprobs[answer] = _log_sum([scores.logprobs[i] for i in own])
        tokens[answer] = scores.tokens[own[0]]
    by_text = ask.keys[3] == "text"
    lengths = tokens if by_text else dict.fromkeys(answers, 1)
    return {
        **dict(zip(KEYS, ask.keys, strict=True)),
        "answer": max(answers, key=lambda answer: logprobs[answer] / lengths[answer]),
        "target": ask.target,
        **{f"logprob_{answer}": logprobs[answer] for answer in answers},
        **({f"tokens_{answer}": tokens[answer] if by_text else None for answer in answers}),
        "valid_mass": scores.valid_mass,
        "reasoning": reasoning.text if reasoning else None,
        "prompt_tokens": scores.prompt_tokens,
        "reasoning_tokens": reasoning.tokens if reasoning else 0,
    }


def _log_sum(logs: list[float]) -> float:
    """Return log Σ exp of log-probabilities: that of any of several surface forms."""
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs))
