"""Run all trials of one benchmark on a checkpoint and return the table of responses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from scruple.benchmarks import benchmark_module
from scruple.engines import Engine, GenerateRequest, Generation, ScoreRequest, Scores
from scruple.progress import Bar, Progress
from scruple.prompts.rendering import Renderer
from scruple.responses.trials import Trial, count_work, name_of, pieces, score_request, seed_of
from scruple.study.model import Study
from scruple.study.settings import Benchmark

KEYS = ["item_id", "condition", "wording", "scoring", "order", "sample"]
"""The columns that identify a row of the response table."""


def schema_of(kind: str) -> pa.Schema:
    """Return the columns and types of the response table for a kind of benchmark."""
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
            ("reasoning_end", pa.string()),
        ]
    )


def respond(
    study: Study,
    benchmark: Benchmark,
    items: pd.DataFrame,
    engine: Engine,
    renderer: Renderer,
    checkpoint: str,
    bar: Bar,
) -> Iterator[pd.DataFrame]:
    """Yield the response table of one checkpoint on one benchmark, piece by piece.

    Args:
        study: conditions, wordings, decoding and seed.
        benchmark: the benchmark's entry in the config, with its scorings and option orders.
        items: the benchmark's items.
        engine: the loaded checkpoint.
        renderer: renders turns for the checkpoint.
        checkpoint: the checkpoint's name, for messages.
        bar: creates progress bars.

    Yields:
        One row per item × condition × wording × scoring × order × sample: the KEYS; `answer`, the
        most likely one (per token for whole texts); `target`, the answer that the prompt asks for,
        otherwise empty; `logprob_<answer>`; `tokens_<answer>`, null unless candidates are whole
        texts; `valid_mass`; `reasoning`; `prompt_tokens` and `reasoning_tokens`; `reasoning_end`,
        why the reasoning ends: `end`, `turn` (it ran on into another turn, and was cut there) or
        `length` (it reached the maximum).

    Raises:
        ScrupleError: naming the item, if a prompt cannot be scored; `check_trials` checks this
            without loading the weights.
    """
    answers = benchmark_module(benchmark.kind).ANSWERS
    progress = bar(f"{checkpoint} {benchmark.name}", count_work(study, benchmark, items))
    for trials in pieces(study, benchmark, items):
        reasoning = _reason(study, benchmark, trials, engine, renderer, checkpoint, progress)
        requests = [
            score_request(trial, renderer, _text(reasoning.get(trial.draw)), checkpoint)
            for trial in trials
        ]
        scores = engine.score(requests, lambda found: progress(len(found)))
        rows = [
            _row(trial, request, result, reasoning.get(trial.draw), answers)
            for trial, request, result in zip(trials, requests, scores, strict=True)
        ]
        yield pd.DataFrame(rows)


def _text(generation: Generation | None) -> str:
    """Return the sampled text that follows the opening sentence; empty without reasoning."""
    return generation.text if generation else ""


def _reason(
    study: Study,
    benchmark: Benchmark,
    trials: Sequence[Trial],
    engine: Engine,
    renderer: Renderer,
    checkpoint: str,
    progress: Progress,
) -> dict[tuple[str, str, str, int, int], Generation]:
    """Sample one reasoning per draw of the trials with reasoning; scorings share a draw."""
    draws = {trial.draw: trial for trial in trials if trial.reasons}
    if not draws:
        return {}
    requests = [
        GenerateRequest(
            name_of(trial, checkpoint),
            renderer.reasoning_prompt(trial.turns),
            seed_of(study, benchmark.name, draw),
            renderer.special,
            renderer.marks,
        )
        for draw, trial in draws.items()
    ]
    generations = engine.generate(requests, study.decoding, lambda found: progress(len(found)))
    return dict(zip(draws, generations, strict=True))


def _row(
    trial: Trial,
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
    by_text = trial.keys[3] == "text"
    lengths = tokens if by_text else dict.fromkeys(answers, 1)
    return {
        **dict(zip(KEYS, trial.keys, strict=True)),
        "answer": max(answers, key=lambda answer: logprobs[answer] / lengths[answer]),
        "target": trial.target,
        **{f"logprob_{answer}": logprobs[answer] for answer in answers},
        **({f"tokens_{answer}": tokens[answer] if by_text else None for answer in answers}),
        "valid_mass": scores.valid_mass,
        "reasoning": reasoning.text if reasoning else None,
        "prompt_tokens": scores.prompt_tokens,
        "reasoning_tokens": reasoning.tokens if reasoning else 0,
        "reasoning_end": reasoning.ended if reasoning else None,
    }


def _log_sum(logs: list[float]) -> float:
    """Return log Σ exp of log-probabilities: the log-probability of any of the surface forms."""
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs))
