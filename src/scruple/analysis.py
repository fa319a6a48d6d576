"""A study's sums → its effects and verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.tally import Metric
from scruple.measures import MEASURES
from scruple.prompts import Condition, conditions_of, load_prompts
from scruple.statistics.clusters import ClusterSums, Estimate
from scruple.statistics.effects import (
    Limits,
    Reading,
    difference,
    estimate_of,
    judge,
    p_value,
    signed,
)
from scruple.statistics.emergence import emergence
from scruple.study import Benchmark, Margin, Study
from scruple.sums import select

Sums = Mapping[tuple[str, str, str], pd.DataFrame]
"""(family, checkpoint, benchmark) → its table of sums."""

EFFECTS = [
    "family", "checkpoint", "params", "stage", "step", "benchmark", "subset", "condition",
    "wording", "scoring", "metric", "reference", "effect", "ci_low", "ci_high", "p_value",
    "p_adjusted", "status", "primary", "reason",
]  # fmt: skip
EMERGENCE = [
    "family", "axis", "stage", "benchmark", "condition", "wording", "scoring", "metric", "margin",
    "verdict", "above", "at_most", "primary", "declared", "reason",
]  # fmt: skip
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
    if condition.name in ("q+placebo", "q+cot"):
        return ("q",)
    return ("q", "q+cot" if condition.reasoning else "q+placebo")


def limits_of(margin: Margin) -> Limits:
    """Return a margin's numbers."""
    return Limits(margin.delta, margin.gate.above, margin.keep.loss)


def read(
    table: pd.DataFrame, benchmark: Benchmark, margin: Margin, condition: Condition, way: Way
) -> Reading | None:
    """Measure a condition at one checkpoint; None if it was not asked.

    Args:
        table: the checkpoint's sums.
        benchmark: the benchmark.
        margin: which metrics of bias and capability count.
        condition: the condition.
        way: wording, scoring and metric.
    """
    module = benchmark_module(benchmark.kind)
    names = dict.fromkeys(("q", *controls(condition), condition.name))
    found = {name: select(table, name, way.wording, way.scoring) for name in names}
    plain, asked = found["q"], found[condition.name]
    if plain is None or asked is None:
        return None
    bias, gate, capability = (
        _metric(module, plain, name, margin.subset)
        for name in (way.metric, margin.gate.metric, margin.keep.metric)
    )
    unsigned = estimate_of(plain, bias)
    sign = MEASURES[benchmark.kind].sign or (1.0 if not unsigned.value < 0 else -1.0)
    return Reading(
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


def _metric(module: BenchmarkModule, sums: ClusterSums, name: str, subset: str) -> Metric:
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
                reading = read(table, benchmark, margin, condition, way)
                if reading is not None:
                    found.append(
                        Measured(
                            family, checkpoint, benchmark, margin, condition.name, way, reading
                        )
                    )
    return found


def effects_table(study: Study, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per checkpoint × benchmark × condition × way × reference."""
    rows = []
    for one in found:
        limits = limits_of(one.margin)
        verdict = judge(one.reading, limits)
        for reference, effect in one.reading.effects.items():
            rows.append(
                {
                    **_place(study, one),
                    "subset": one.margin.subset,
                    "reference": reference,
                    **_numbers(effect),
                    "p_value": p_value(effect, limits.delta),
                    "status": verdict.status,
                    "reason": verdict.reason,
                }
            )
    table = pd.DataFrame(rows, columns=EFFECTS)
    table["p_adjusted"] = np.nan
    for _, group in table.groupby(["wording", "scoring", "metric"], dropna=False):
        tested = group["p_value"].dropna()
        if len(tested):
            table.loc[tested.index, "p_adjusted"] = multipletests(tested, method="holm")[1]
    return table.round(12)


def _place(study: Study, one: Measured) -> dict[str, Any]:
    checkpoint = study.checkpoint(one.family, one.checkpoint)
    return {
        "family": one.family,
        "checkpoint": one.checkpoint,
        "params": checkpoint.params,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "benchmark": one.benchmark.name,
        "condition": one.condition,
        "wording": one.way.wording,
        "scoring": one.way.scoring,
        "metric": one.way.metric,
        "primary": one.way.primary,
    }


def _numbers(effect: Estimate) -> dict[str, float]:
    return {"effect": effect.value, "ci_low": effect.low, "ci_high": effect.high}


def emergence_table(study: Study, found: Sequence[Measured], declared: str) -> pd.DataFrame:
    """Return one row per family × axis × benchmark × condition × way: where a correction emerges.

    Args:
        study: the study.
        found: every reading.
        declared: when the margins were set, in a sentence.
    """
    rows = []
    for key, curve in _curves(study, found).items():
        family, axis, stage, _, condition, way = key
        first = curve[0][1]
        result = emergence(
            [place for place, _ in curve],
            [one.reading for _, one in curve],
            limits_of(first.margin),
        )
        rows.append(
            {
                "family": family,
                "axis": axis,
                "stage": stage,
                "benchmark": first.benchmark.name,
                "condition": condition,
                "wording": way.wording,
                "scoring": way.scoring,
                "metric": way.metric,
                "margin": first.margin.delta,
                "verdict": result.verdict,
                "above": result.above,
                "at_most": result.at_most,
                "primary": way.primary,
                "declared": declared,
                "reason": result.reason,
            }
        )
    return pd.DataFrame(rows, columns=EMERGENCE)


Curve = list[tuple[float, Measured]]


def _curves(study: Study, found: Sequence[Measured]) -> dict[tuple[Any, ...], Curve]:
    """Return the checkpoints of each curve by their place on its axis, ascending.

    Along `params`: those of a stage at their last step. Along `step`: those of a size and stage.
    """
    curves: dict[tuple[Any, ...], Curve] = {}
    for one in found:
        checkpoint = study.checkpoint(one.family, one.checkpoint)
        rest = (one.benchmark.name, one.condition, one.way)
        peers = [c for c in study.family(one.family).checkpoints if c.stage == checkpoint.stage]
        same = [c.step for c in peers if c.params == checkpoint.params]
        last = max((step for step in same if step is not None), default=None)
        if checkpoint.step == last:
            key = (one.family, "params", checkpoint.stage, *rest)
            curves.setdefault(key, []).append((float(checkpoint.params), one))
        if checkpoint.step is not None and len(set(same)) > 1:
            axis = f"step at {checkpoint.params}"
            key = (one.family, axis, checkpoint.stage, *rest)
            curves.setdefault(key, []).append((float(checkpoint.step), one))
    return {
        key: sorted(curve, key=lambda pair: pair[0])
        for key, curve in curves.items()
        if len(curve) > 1
    }
