"""The metrics table: one row per checkpoint × benchmark × subset × condition × … × metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.tally import Tally, conditions, estimate, sum_up
from scruple.statistics.clusters import ClusterSums
from scruple.study.kinds import KINDS

Tallied = tuple[dict[str, Any], Tally]
"""Condition, wording and scoring, with the columns of their responses that are to be summed."""

COLUMNS = [
    "family",
    "checkpoint",
    "params",
    "stage",
    "step",
    "benchmark",
    "subset",
    "condition",
    "wording",
    "scoring",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "n_items",
    "n_clusters",
    "language",
]
"""Columns of the metrics table, in order. Cells that do not apply are empty."""
NUMBERS = ["params", "step", "value", "ci_low", "ci_high", "n_items", "n_clusters"]
"""The numeric columns. The others hold names, even if these look like numbers."""


def measure(
    kind: str, items: pd.DataFrame, responses: pd.DataFrame, keys: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the metrics of one checkpoint's responses to one benchmark.

    Args:
        kind: the kind of benchmark.
        items: the benchmark's items.
        responses: the responses; each `item_id` must occur in `items`.
        keys: values of the columns that are the same in all rows; columns without one stay empty.
    """
    return metrics_table(kind, tallies(kind, join(items, responses)), keys)


def metrics_table(kind: str, tallied: Sequence[Tallied], keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the metrics table of tallied responses; `kind` and `keys` are those of `measure`."""
    rows: list[dict[str, Any]] = []
    for place, tally in tallied:
        rows += _estimates(kind, sum_up(tally), place)
    table = pd.DataFrame(rows)
    for name in COLUMNS:
        if name not in table:
            table[name] = keys.get(name)
    # twelve decimals, because beyond that the result depends on the order of summation
    return table[COLUMNS].round({"value": 12, "ci_low": 12, "ci_high": 12})


def _estimates(kind: str, sums: ClusterSums, place: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """Return one row per metric and subset, and per stratum if the benchmark reports strata."""
    module = benchmark_module(kind)
    metrics, rows = module.metrics_of(sums.columns), []
    for stratum in sums.strata if module.BY_STRATUM else ():
        rows += estimate(sums.select(stratum), metrics, stratum, place)
    for subset in KINDS[kind].measures.subsets:
        rows += estimate(sums, [module.over(metric, subset) for metric in metrics], subset, place)
    return rows


def tallies(kind: str, joined: pd.DataFrame) -> list[Tallied]:
    """Return one tally per condition, wording and scoring; metrics and sums both start from it.

    Args:
        kind: the kind of benchmark.
        joined: the responses, joined with their items.
    """
    module = benchmark_module(kind)
    return [(place, _tally(module, rows)) for place, rows in conditions(joined)]


def _tally(module: BenchmarkModule, rows: pd.DataFrame) -> Tally:
    order = rows["order"].fillna(0).to_numpy() if "order" in rows else np.zeros(len(rows), int)
    return {**module.tally_of(rows), "order": order}


def join(items: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Join responses with their items by `item_id`."""
    return responses.merge(items, on="item_id", how="left", validate="many_to_one")


def read_metrics(path: str | Path) -> pd.DataFrame:
    """Read a metrics table: numeric columns as numbers, the rest as text, even `NA` and `007`."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table[NUMBERS] = table[NUMBERS].apply(pd.to_numeric)
    return table
