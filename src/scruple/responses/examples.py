"""Complete prompts of one item, as a checkpoint reads them: as text and as tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from scruple.engines.tokens import tokenise
from scruple.prompts.rendering import Renderer
from scruple.responses.trials import Trial, build_trials
from scruple.study.model import Study
from scruple.study.settings import Benchmark

_ESCAPED = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})
REASONING = " […]"
"""Stands for the reasoning in prompts that are shown before any was sampled."""


def examples(
    study: Study,
    benchmark: Benchmark,
    item: pd.DataFrame,
    scoring: str,
    renderer: Renderer,
    tokenizer: Any,
    reasoning: Mapping[tuple[Any, ...], str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one complete prompt per condition, with the study's first wording.

    Args:
        study: conditions and wordings.
        benchmark: the benchmark, of which the prompts are made.
        item: a table with one item.
        scoring: how the answer is scored.
        renderer: renders turns for the checkpoint.
        tokenizer: the checkpoint's tokenizer.
        reasoning: draw of a trial → the sampled reasoning; without it REASONING is put in.

    Yields:
        `condition`, `wording`, `scoring`, `item_id`; `prompt`, the text before the candidates;
        `candidates`, the texts that are scored; `tokens` and `token_ids` of the prompt. With
        reasoning, `asked` is the prompt that the reasoning continues.
    """
    seen: set[str] = set()
    for trial in build_trials(study, benchmark, item):
        if trial.keys[1] not in seen and trial.keys[3] == scoring:
            seen.add(trial.keys[1])
            yield _example(trial, renderer, tokenizer, (reasoning or {}).get(trial.draw, REASONING))


def legible(token: str) -> str:
    """Return a token in which line breaks and tabs are escaped."""
    return token.translate(_ESCAPED)


def _example(trial: Trial, renderer: Renderer, tokenizer: Any, reasoning: str) -> dict[str, Any]:
    item, condition, wording, scoring, _, _ = trial.keys
    prompt = renderer.scored_prompt(trial.turns, reasoning if trial.reasons else "")
    ids = tokenise(tokenizer, [prompt], renderer.special)[0]
    return {
        "condition": condition,
        "wording": wording,
        "scoring": scoring,
        "item_id": item,
        **({"asked": renderer.reasoning_prompt(trial.turns)} if trial.reasons else {}),
        "prompt": prompt,
        "candidates": {answer: list(forms) for answer, forms in trial.candidates.items()},
        "tokens": tokenizer.convert_ids_to_tokens(list(ids)),
        "token_ids": list(ids),
    }
