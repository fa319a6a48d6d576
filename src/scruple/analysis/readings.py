"""A study's sums → what is read of each condition at each checkpoint, in each way of measuring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.tally import Metric
from scruple.margins import Margin
from scruple.measures import MEASURES
from scruple.prompts import Condition, conditions_of, load_prompts
from scruple.statistics.clusters import ClusterSums, Function
from scruple.statistics.effects import (
    Limits,
    Reading,
    difference,
    estimate_of,
    paired_where_counted,
    signed,
)
from scruple.study import Benchmark, Checkpoint, Study
from scruple.sums import select

Sums = Mapping[tuple[str, str, str], pd.DataFrame]
"""(family, checkpoint, benchmark) → its table of sums."""

CONTROLS = ("q+placebo", "q+cot")
"""Conditions that ask for nothing: what others are compared with beside `q`."""
_NOT_JUDGED = ("q", "q+match", "q+follow")
"""Conditions that do not ask for less bias."""


@dataclass(frozen=True)
class Way:
    """One way of measuring: what is fixed beforehand is the primary one, the others go with it."""

    wording: str
    scoring: str
    metric: str
    primary: bool


def ways(study: Study, family: str, benchmark: Benchmark, margin: Margin) -> Iterator[Way]:
    """Yield the primary way of measuring, then those that differ from it."""
    module = benchmark_module(benchmark.kind)
    scorings = module.scorings(benchmark)
    wanted = study.family(family).primary_scoring
    first = wanted if wanted in scorings else scorings[0]
    for wording in study.wordings:
        for scoring in sorted(scorings, key=lambda name: name != first):
            for metric in (margin.metric, MEASURES[benchmark.kind].twins[margin.metric]):
                primary = (wording, scoring, metric) == (study.wordings[0], first, margin.metric)
                yield Way(wording, scoring, metric, primary)


def controls(condition: Condition) -> tuple[str, ...]:
    """Return the references of a condition: `q`, and what differs from it by its content alone."""
    if condition.name in CONTROLS:
        return ("q",)
    return ("q", "q+cot" if condition.reasoning else "q+placebo")


def limits_of(margin: Margin) -> Limits:
    """Return a margin's numbers."""
    return Limits(margin.delta, margin.gate.above, margin.keep.loss)


def read(
    table: pd.DataFrame, benchmark: Benchmark, margin: Margin, condition: Condition, way: Way
) -> tuple[float, Reading] | None:
    """Measure a condition at one checkpoint; None if it was not asked.

    Args:
        table: the checkpoint's sums.
        benchmark: the benchmark.
        margin: which metrics of bias and capability count.
        condition: the condition.
        way: wording, scoring and metric.

    Returns:
        The sign that makes a bias positive, and the reading.
    """
    module = benchmark_module(benchmark.kind)
    names = dict.fromkeys(("q", *controls(condition), condition.name))
    found = {name: select(table, name, way.wording, way.scoring) for name in names}
    plain, asked = found["q"], found[condition.name]
    if plain is None or asked is None:
        return None
    bias, gate, capability = (
        metric_of(module, plain, name, margin.subset)
        for name in (way.metric, margin.gate.metric, margin.keep.metric)
    )
    unsigned = estimate_of(plain, bias)
    sign = MEASURES[benchmark.kind].sign or (1.0 if not unsigned.value < 0 else -1.0)
    return sign, Reading(
        plain=signed(unsigned, sign),
        bias=signed(estimate_of(asked, bias), sign),
        effects={
            name: signed(difference(reference, asked, bias), sign)
            for name in controls(condition)
            if (reference := found[name]) is not None
        },
        gate=estimate_of(plain, gate),
        change=difference(asked, plain, capability),
    )


def effect_data(
    table: pd.DataFrame, benchmark: Benchmark, margin: Margin, condition: str, way: Way,
    order: int | None = None,
) -> tuple[ClusterSums, Function] | None:  # fmt: skip
    """Return data and statistic of a condition's effect against `q`; None if it was not asked.

    Args:
        table: the checkpoint's sums.
        benchmark: the benchmark.
        margin: which metric of bias counts.
        condition: the condition's name.
        way: wording, scoring and metric.
        order: of the options; None for all.
    """
    plain, asked = (
        select(table, name, way.wording, way.scoring, order) for name in ("q", condition)
    )
    if plain is None or asked is None:
        return None
    bias = metric_of(benchmark_module(benchmark.kind), plain, way.metric, margin.subset)
    return paired_where_counted(plain, asked, bias)


def metric_of(module: BenchmarkModule, sums: ClusterSums, name: str, subset: str = "") -> Metric:
    """Return the metric of that name, of a subset of the items (KeyError if there is none)."""
    metrics = {metric.name: metric for metric in module.metrics_of(sums.columns)}
    return module.over(metrics[name], subset)


@dataclass(frozen=True)
class Measured:
    """A reading with its place in the study."""

    family: str
    checkpoint: str
    benchmark: Benchmark
    margin: Margin
    condition: str
    way: Way
    reading: Reading
    sign: float


def measured(study: Study, sums: Sums) -> list[Measured]:
    """Measure every condition that asks for less bias, at every checkpoint, in every way."""
    found = []
    for (family, checkpoint, name), table in sums.items():
        benchmark = study.benchmark(name)
        margin = study.margins.get(benchmark.kind)
        if margin is None:
            continue
        asked = conditions_of(study, load_prompts(study, benchmark.kind))
        for way in ways(study, family, benchmark, margin):
            for condition in asked:
                if condition.name in _NOT_JUDGED:
                    continue
                result = read(table, benchmark, margin, condition, way)
                if result is not None:
                    sign, reading = result
                    place = (family, checkpoint, benchmark, margin, condition.name, way)
                    found.append(Measured(*place, reading, sign))
    return found


def on_axes(study: Study, family: str) -> list[Checkpoint]:
    """Return a family's checkpoints, of those of the same stage, size and step the first one."""
    first: dict[tuple[str, int, int | None], Checkpoint] = {}
    for checkpoint in study.family(family).checkpoints:
        first.setdefault((checkpoint.stage, checkpoint.params, checkpoint.step), checkpoint)
    return list(first.values())


def last_steps(study: Study, family: str, stage: str) -> list[Checkpoint]:
    """Return a family's checkpoints of a stage at their last step, the smallest first."""
    mine = [each for each in on_axes(study, family) if each.stage == stage]
    mine.sort(key=lambda each: (each.params, each.step or 0))
    return list({each.params: each for each in mine}.values())
