"""How much a benchmark asks: rows, distinct tokens, tokens to sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scruple.prompts.files import conditions_of, load_prompts, wordings_of
from scruple.study.model import ROOT, Benchmark, Study, read_yaml

_COUNTS = ROOT / "data" / "tokens.yaml"


@dataclass(frozen=True)
class Workload:
    """What one checkpoint is asked of one benchmark.

    Attributes:
        items: number of items.
        prompts: prompts that are answered: rows of the table of responses.
        rows: texts whose next token is read: a prompt has several where answers are whole texts.
        distinct: tokens that are read, what prompts share counted once.
        sampled: tokens to be sampled, at most.
        length: mean tokens of a prompt.
        known: `counted` with the checkpoint's own tokenizer; `read`, the items at hand and the
            tokens estimated; or `estimated`, the number of items too, from data/tokens.yaml.
    """

    items: int
    prompts: int
    rows: int
    distinct: int
    sampled: int
    length: float
    known: str


def estimate(study: Study, benchmark: Benchmark, items: int | None = None) -> Workload:
    """Work out what a benchmark asks, from measured means of tokens per item.

    Args:
        study: conditions, wordings and decoding.
        benchmark: which benchmark, with its scorings and orders.
        items: number of items, where they are at hand.
    """
    known = _known(benchmark)
    count = items if items is not None else _items(benchmark, known)
    prompts = load_prompts(study, benchmark.kind)
    scorings = benchmark.scoring if benchmark.kind == "bbq" else ("",)
    asked = 0
    rows = distinct = sampled = 0.0
    read = 0.0
    for condition in conditions_of(study, prompts):
        draws = study.decoding.samples if condition.reasoning else 1
        times = len(wordings_of(study, condition)) * benchmark.orders
        thoughts = study.decoding.max_new_tokens if condition.reasoning else 0
        reasonings = count * times * draws if condition.reasoning else 0
        sampled += reasonings * thoughts
        first = known["tokens"][scorings[0] or "all"]
        opening = first["q"]["distinct"] + first.get(condition.name, first["other"])["distinct"]
        # what the reasoning is a continuation of, once for all scorings
        distinct += reasonings * opening
        for scoring in scorings:
            mean = known["tokens"][scoring or "all"]
            mine = mean.get(condition.name, mean["other"])
            here = count * times * draws
            asked += here
            rows += here * mine["rows"]
            # the reasoning is read again before the answer
            distinct += here * (mine["distinct"] + thoughts)
            read += here * mine["rows"] * (mine["length"] + thoughts)
    return Workload(
        count, asked, round(rows), round(distinct), round(sampled), read / max(rows, 1),
        "estimated" if items is None else "read",
    )  # fmt: skip


def _known(benchmark: Benchmark) -> Mapping[str, Any]:
    known: Mapping[str, Any] = read_yaml(_COUNTS)[benchmark.kind]
    return known


def _items(benchmark: Benchmark, known: Mapping[str, Any]) -> int:
    """Return how many items a source has, or a part of it, as far as its number is known."""
    total = known["items"].get(benchmark.source, known["items"]["upstream"])
    if benchmark.categories and benchmark.source == "upstream":
        total = sum(known["categories"].get(name, 0) for name in benchmark.categories) or total
    # of admissions, profiles are drawn, and each is asked as two people
    each = 2 if benchmark.kind == "admissions" else 1
    return min(total, each * (benchmark.max_items or total))
