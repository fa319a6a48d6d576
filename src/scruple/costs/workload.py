"""The workload of a benchmark: prompts, rows, distinct tokens and tokens to sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scruple.errors import ScrupleError
from scruple.prompts.files import conditions_of, load_prompts, wordings_of
from scruple.study.model import ROOT, Study, read_yaml
from scruple.study.settings import Benchmark

_COUNTS = ROOT / "data" / "tokens.yaml"


@dataclass(frozen=True)
class Workload:
    """The workload of one checkpoint on one benchmark.

    Attributes:
        items: number of items.
        prompts: prompts that are answered, one per row of the table of responses.
        rows: texts whose next token is read; a prompt has several if its answers are whole texts.
        distinct: tokens to read; a beginning that texts share is counted once.
        sampled: tokens to sample, at most.
        length: mean number of tokens per row.
        known: `counted` with the checkpoint's own tokenizer; `read` if the items are here and the
            tokens are estimated; `estimated` if the items are too, from data/tokens.yaml.
    """

    items: int
    prompts: int
    rows: int
    distinct: int
    sampled: int
    length: float
    known: str


def estimate(
    study: Study, benchmark: Benchmark, weights: Sequence[float] | None = None
) -> Workload:
    """Estimate the workload of a benchmark from measured mean tokens per item.

    Args:
        study: the study, with conditions, wordings and decoding.
        benchmark: the benchmark, with its scorings and orders.
        weights: the weight of each item if the items are here; None to use the known numbers of
            their source.
    """
    known = _known(benchmark)
    count = _items(benchmark, known) if weights is None else len(weights)
    draws = count * _mean_draws(study, _weights(benchmark, known) if weights is None else weights)
    prompts = load_prompts(study, benchmark)
    asked = rows = distinct = sampled = read = 0.0
    for condition in conditions_of(study, prompts):
        times = len(wordings_of(study, condition)) * benchmark.orders
        thoughts = study.decoding.max_new_tokens if condition.reasoning else 0
        here = times * (draws if condition.reasoning else count)
        if condition.reasoning:
            first = known["tokens"][benchmark.scorings[0] or "all"]
            mine = first.get(condition.name, first["other"])
            sampled += here * thoughts
            # the prompt before the reasoning is read once for all scorings
            distinct += here * (first["q"]["distinct"] + mine["distinct"])
        for scoring in benchmark.scorings:
            mean = known["tokens"][scoring or "all"]
            mine = mean.get(condition.name, mean["other"])
            asked += here
            rows += here * mine["rows"]
            # the reasoning is read again before the answer
            distinct += here * (mine["distinct"] + thoughts)
            read += here * mine["rows"] * (mine["length"] + thoughts)
    return Workload(
        count, round(asked), round(rows), round(distinct), round(sampled), read / max(rows, 1),
        "estimated" if weights is None else "read",
    )  # fmt: skip


def _mean_draws(study: Study, weights: Sequence[float] | Mapping[float, int]) -> float:
    """Return the mean number of reasonings per item.

    Args:
        study: the study, whose decoding says how many reasonings a weight gets.
        weights: the weight of each item, or weight → number of items.
    """
    counts = weights if isinstance(weights, Mapping) else Counter(weights)
    total = sum(counts.values())
    each = sum(number * study.decoding.draws(weight) for weight, number in counts.items())
    return each / total if total else 0.0


def _weights(benchmark: Benchmark, known: Mapping[str, Any]) -> Mapping[float, int]:
    """Return weight → number of items of a source; weight 1 for all if nothing is known."""
    found: Mapping[float, int] = known.get("weights", {}).get(benchmark.source, {1: 1})
    return found


def _known(benchmark: Benchmark) -> Mapping[str, Any]:
    given = benchmark.traits.tokens
    known: Mapping[str, Any] | None = (
        read_yaml(_COUNTS).get(benchmark.kind) if given is None else given
    )
    if known is None:
        raise ScrupleError(
            f"{_COUNTS}: has no entry for benchmarks of kind {benchmark.kind}, so nothing can be "
            "planned; add one."
        )
    return known


def _items(benchmark: Benchmark, known: Mapping[str, Any]) -> int:
    """Return the number of items of a source, or of its chosen part, as far as it is known."""
    items = known["items"]
    usual = items.get("upstream") or max(items.values())
    total = int(items.get(benchmark.source, usual))
    if benchmark.categories and benchmark.source == "upstream":
        total = sum(known["categories"].get(name, 0) for name in benchmark.categories) or total
    each = benchmark.traits.items_per_unit
    return min(total, each * (benchmark.max_items or total))
