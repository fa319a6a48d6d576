"""A study's sums → a reading of each condition at each checkpoint, under each specification."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from scruple.analysis.axes import recipes_of
from scruple.analysis.sums import select
from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.prompts.files import Condition, conditions_of, load_prompts
from scruple.statistics.clusters import ClusterSums, Estimate
from scruple.statistics.effects import Limits, Reading, difference, signed, statistic
from scruple.statistics.metric import Metric
from scruple.statistics.runs import Statistic, over_runs
from scruple.study.conditions import is_judged, references_of
from scruple.study.margins import Margin
from scruple.study.model import Study
from scruple.study.settings import Benchmark

Sums = Mapping[tuple[str, str, str], pd.DataFrame]
"""(family, checkpoint, benchmark) → table of sums."""


@dataclass(frozen=True)
class Specification:
    """How an effect is measured; the primary specification is fixed before the first response."""

    wording: str
    scoring: str
    metric: str
    primary: bool


def specifications(
    study: Study, family: str, benchmark: Benchmark, margin: Margin
) -> Iterator[Specification]:
    """Yield the primary specification, then all others."""
    first = study.primary_scoring(family, benchmark)
    counterpart = benchmark.traits.measures.counterparts[margin.metric]
    for wording in study.wordings:
        for scoring in sorted(benchmark.scorings, key=lambda name: name != first):
            for metric in (margin.metric, counterpart):
                primary = (wording, scoring, metric) == (study.wordings[0], first, margin.metric)
                yield Specification(wording, scoring, metric, primary)


def limits_of(margin: Margin) -> Limits:
    """Return the limits that a margin sets: δ, gates and the losses that a condition may cost."""
    gates = tuple(gate.above for gate in margin.gates)
    return Limits(margin.delta, gates, tuple(keep.loss for keep in margin.keeps))


def read(
    tables: Sequence[pd.DataFrame], benchmark: Benchmark, margin: Margin, condition: Condition,
    spec: Specification,
) -> tuple[float, Reading] | None:  # fmt: skip
    """Measure a condition at one place of an axis.

    Args:
        tables: the sums of the checkpoint, or of every training run of a recipe.
        benchmark: the benchmark.
        margin: the margin, which names the capabilities to test and the subset of items.
        condition: the condition.
        spec: wording, scoring and metric of bias.

    Returns:
        The sign that makes the bias positive, and the reading; None if the condition or `q` was
        not asked.
    """
    module = benchmark_module(benchmark.kind)
    references = references_of(condition.name, condition.reasoning is not None)
    found = {
        name: [select(table, name, spec.wording, spec.scoring) for table in tables]
        for name in dict.fromkeys((*references, condition.name))
    }
    there = {
        name: [each for each in runs if each is not None]
        for name, runs in found.items()
        if all(each is not None for each in runs)
    }
    if "q" not in there or condition.name not in there:
        return None
    plain, asked = there["q"], there[condition.name]

    def metric(name: str) -> Metric:
        return metric_of(module, plain[0], name, margin.subset)

    bias = metric(spec.metric)

    def alone(runs: Sequence[ClusterSums], metric: Metric) -> Estimate:
        return over_runs([statistic(run, metric) for run in runs])

    def change(
        first: Sequence[ClusterSums], second: Sequence[ClusterSums], metric: Metric
    ) -> Estimate:
        pairs = zip(first, second, strict=True)
        return over_runs([difference(one, other, metric) for one, other in pairs])

    unsigned = alone(plain, bias)
    sign = benchmark.traits.measures.sign or (1.0 if not unsigned.value < 0 else -1.0)
    return sign, Reading(
        plain=signed(unsigned, sign),
        bias=signed(alone(asked, bias), sign),
        effects={
            name: signed(change(there[name], asked, bias), sign)
            for name in references
            if name in there
        },
        gates=tuple(alone(plain, metric(gate.metric)) for gate in margin.gates),
        changes=tuple(change(asked, plain, metric(keep.metric)) for keep in margin.keeps),
    )


def effect_of(
    table: pd.DataFrame, benchmark: Benchmark, margin: Margin, condition: str, spec: Specification,
    order: int | None = None,
) -> Statistic | None:  # fmt: skip
    """Return a condition's effect against `q`, before the sign is applied; None if not asked.

    Args:
        table: the checkpoint's sums.
        benchmark: the benchmark.
        margin: the margin, which names the subset of items.
        condition: the condition's name.
        spec: wording, scoring and metric of bias.
        order: the order of the options; None for all orders.
    """
    plain, asked = (
        select(table, name, spec.wording, spec.scoring, order) for name in ("q", condition)
    )
    if plain is None or asked is None:
        return None
    bias = metric_of(benchmark_module(benchmark.kind), plain, spec.metric, margin.subset)
    return difference(plain, asked, bias)


def metric_of(module: BenchmarkModule, sums: ClusterSums, name: str, subset: str = "") -> Metric:
    """Return a metric by its name, for a subset of the items (KeyError if it is unknown)."""
    metrics = {metric.name: metric for metric in module.metrics_of(sums.columns)}
    return module.over(metrics[name], subset)


@dataclass(frozen=True)
class Measured:
    """A reading, with what it was measured on and how.

    Attributes:
        family: name of the family.
        checkpoints: names of the checkpoints: one, or all measured training runs of a recipe.
        benchmark: the benchmark.
        margin: the benchmark's margin.
        condition: name of the condition.
        spec: the specification.
        reading: the reading.
        sign: the sign that makes the bias positive.
    """

    family: str
    checkpoints: tuple[str, ...]
    benchmark: Benchmark
    margin: Margin
    condition: str
    spec: Specification
    reading: Reading
    sign: float


def measured(study: Study, sums: Sums) -> list[Measured]:
    """Measure every judged condition at every checkpoint, under every specification.

    Training runs of one recipe are measured one by one, then together if at least two of them have
    sums. Benchmarks without a margin are skipped.
    """
    found = []
    for family in study.families:
        recipes = [names for names in recipes_of(family).values() if len(names) > 1]
        alone = [(checkpoint.name,) for checkpoint in family.checkpoints]
        for names, benchmark in itertools.product([*alone, *recipes], study.benchmarks):
            checkpoints = tuple(
                name for name in names if (family.name, name, benchmark.name) in sums
            )
            margin = study.margin(benchmark)
            if margin is None or len(checkpoints) < min(len(names), 2):
                continue
            tables = [sums[family.name, name, benchmark.name] for name in checkpoints]
            asked = conditions_of(study, load_prompts(study, benchmark))
            judged = [condition for condition in asked if is_judged(condition.name)]
            for spec in specifications(study, family.name, benchmark, margin):
                for condition in judged:
                    result = read(tables, benchmark, margin, condition, spec)
                    if result is not None:
                        sign, reading = result
                        here = (
                            family.name,
                            checkpoints,
                            benchmark,
                            margin,
                            condition.name,
                            spec,
                        )
                        found.append(Measured(*here, reading, sign))
    return found
