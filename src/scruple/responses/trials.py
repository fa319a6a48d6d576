"""Build the trials of a benchmark: every question that a study puts to a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.checkpoints.tokenizer import TokenizerAndWindow
from scruple.engines import ScoreRequest
from scruple.engines.fidelity import check_kept
from scruple.engines.tokens import check_fit
from scruple.prompts.files import (
    Condition,
    PromptFile,
    Turns,
    build_turns,
    conditions_of,
    load_prompts,
    wordings_of,
)
from scruple.prompts.rendering import Renderer
from scruple.responses.shards import PIECE, Shard
from scruple.study.model import Study
from scruple.study.settings import Benchmark

_COMPARED = 100
"""The number of prompts per piece that are compared with what the chat template itself writes."""


@dataclass(frozen=True)
class Trial:
    """One question put to a checkpoint: a row of the response table before it is answered.

    Attributes:
        keys: item_id, condition, wording, scoring, order and sample, as in KEYS.
        turns: the turns of the prompt.
        candidates: the surface forms of each answer.
        target: the answer that the prompt asks for explicitly; otherwise empty.
        draw: identifies the reasoning before the answer: the keys without the scoring.
    """

    keys: tuple[str, str, str, str, int, int]
    turns: Turns
    candidates: dict[str, tuple[str, ...]]
    target: str

    @property
    def draw(self) -> tuple[str, str, str, int, int]:
        """Return the keys without the scoring, since all scorings share one reasoning."""
        item, condition, wording, _, order, sample = self.keys
        return item, condition, wording, order, sample

    @property
    def reasons(self) -> bool:
        """Return whether the checkpoint reasons before it answers."""
        return self.turns.opening is not None


def seed_of(study: Study, benchmark: str, draw: tuple[str, str, str, int, int]) -> int:
    """Return the seed of one reasoning: a hash of study name, study seed, benchmark and draw."""
    text = "|".join(map(str, (study.study, study.seed, benchmark, *draw)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def build_trials(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> Iterator[Trial]:
    """Yield all trials of the items in the order of the response table, item by item."""
    prompts = load_prompts(study, benchmark)
    asked = [
        (condition, wording)
        for condition in conditions_of(study, prompts)
        for wording in wordings_of(study, condition)
    ]
    for item in _records(items):
        for condition, wording in asked:
            yield from _trials_of(study, benchmark, prompts, condition, wording, item)


def count_work(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> int:
    """Return the total number of reasonings and answers, without building any prompt."""
    prompts = load_prompts(study, benchmark)
    scorings = len(benchmark.scorings)
    draws = sum(study.decoding.draws(weight) for weight in items["weight"])
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


def _trials_of(
    study: Study,
    benchmark: Benchmark,
    prompts: PromptFile,
    condition: Condition,
    wording: str,
    item: dict[Any, Any],
) -> Iterator[Trial]:
    module = benchmark_module(benchmark.kind)
    samples = study.decoding.draws(item["weight"]) if condition.reasoning else 1
    name = condition.instruction
    demands = name is not None and "{target}" in prompts.instructions[name][wording]
    for scoring in benchmark.scorings:
        for order in range(benchmark.orders):
            question = module.question(item, prompts, scoring, order)
            turns = build_turns(prompts, condition, wording, question.slots, question.lead_in)
            for sample in range(samples):
                yield Trial(
                    (item["item_id"], condition.name, wording, scoring, order, sample),
                    turns,
                    question.candidates,
                    str(item["follow"]) if demands else "",
                )


def pieces(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> Iterator[list[Trial]]:
    """Yield all trials in pieces, each small enough to be held in memory; see `PIECE`."""
    for start, stop in _ranges(study, benchmark, items):
        yield list(build_trials(study, benchmark, items.iloc[start:stop]))


def items_of(study: Study, benchmark: Benchmark, items: pd.DataFrame, shard: Shard) -> pd.DataFrame:
    """Return the items of a shard, possibly none."""
    mine = shard.part(_ranges(study, benchmark, items))
    return items.iloc[mine[0][0] : mine[-1][1]] if mine else items.iloc[:0]


def _ranges(study: Study, benchmark: Benchmark, items: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the positions of the first item of each piece and of the one after its last."""
    prompts = load_prompts(study, benchmark)
    times = {True: 0, False: 0}  # with reasoning, and without
    for condition in conditions_of(study, prompts):
        times[bool(condition.reasoning)] += len(wordings_of(study, condition))
    each = benchmark.orders * len(benchmark.scorings)
    found, start, held = [], 0, 0
    for place, weight in enumerate(items["weight"], start=1):
        held += each * (times[False] + times[True] * study.decoding.draws(weight))
        if held >= PIECE or place == len(items):
            found.append((start, place))
            start, held = place, 0
    return found


def check_trials(
    study: Study,
    benchmark: Benchmark,
    items: pd.DataFrame,
    loaded: TokenizerAndWindow,
    renderer: Renderer,
    checkpoint: str,
) -> None:
    """Raise an error if a trial does not suit the checkpoint; needs its tokenizer, no weights.

    Args:
        study: conditions, wordings and decoding.
        benchmark: the benchmark's entry in the config, with its scorings and option orders.
        items: the benchmark's items.
        loaded: the checkpoint's tokenizer, context window and vocabulary.
        renderer: renders turns for the checkpoint.
        checkpoint: the checkpoint's name, for messages.

    Raises:
        ScrupleError: naming the item, if a prompt is too long for the checkpoint or its tokenizer
            cannot distinguish the candidates; or if the chat template treats some texts unlike
            others, or the tokenizer loses a part of a prompt.
    """
    for trials in pieces(study, benchmark, items):
        step = max(1, len(trials) // _COMPARED)
        renderer.check([trial.turns for trial in trials[::step]])
        for reasons in (False, True):
            # all samples of an item have the same prompt, so the first one suffices
            mine = [t for t in trials if t.reasons == reasons and t.keys[-1] == 0]
            requests = [score_request(trial, renderer, "", checkpoint) for trial in mine]
            reserve = study.decoding.max_new_tokens if reasons else 0
            check_fit(loaded.tokenizer, loaded.window, requests, reserve, loaded.vocabulary)
            check_kept(loaded.tokenizer, requests[:: max(1, len(requests) // _COMPARED)])


def name_of(trial: Trial, checkpoint: str) -> str:
    """Return the name of a trial for messages."""
    item, condition, wording, scoring, order, sample = trial.keys
    details = [part for part in (condition, wording, scoring) if part]
    details += [f"{name} {k}" for name, k in (("order", order), ("sample", sample)) if k]
    return f"checkpoint {checkpoint}, item {item} ({', '.join(details)})"


def score_request(
    trial: Trial, renderer: Renderer, reasoning: str, checkpoint: str
) -> ScoreRequest:
    """Return a trial as a score request; its prompt includes the reasoning, if there is any."""
    forms = [(answer, form) for answer, each in trial.candidates.items() for form in each]
    return ScoreRequest(
        name_of(trial, checkpoint),
        renderer.scored_prompt(trial.turns, reasoning),
        tuple(form for _, form in forms),
        tuple(answer for answer, _ in forms),
        renderer.special,
    )
