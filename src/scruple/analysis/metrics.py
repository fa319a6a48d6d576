"""The metrics table: one row per checkpoint × benchmark × subset × condition × … × metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.tally import Tally, conditions, estimate, sum_up
from scruple.statistics.clusters import ClusterSums
from scruple.statistics.metric import Metric
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


def metrics_table(kind: str, tallied: Sequence[Tallied], keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the metrics of one checkpoint's responses to one benchmark.

    Args:
        kind: the kind of benchmark.
        tallied: the tallied responses.
        keys: values of the columns that are the same in all rows; columns without one stay empty.
    """
    rows: list[dict[str, Any]] = []
    for place, tally in tallied:
        for subset, sums, metrics in parts(kind, sum_up(tally)):
            rows += estimate(sums, metrics, subset, place)
    return arranged(rows, keys, COLUMNS)


def arranged(
    rows: Sequence[Mapping[str, Any]], keys: Mapping[str, Any], columns: Sequence[str]
) -> pd.DataFrame:
    """Return rows as a table with these columns, those that are missing filled from the keys."""
    table = pd.DataFrame(rows)
    for name in columns:
        if name not in table:
            table[name] = keys.get(name)
    # twelve decimals, because beyond that the result depends on the order of summation
    fractions = {name: 12 for name in columns if name.startswith(("value", "ci_", "coverage"))}
    return table[list(columns)].round(fractions)


def parts(kind: str, sums: ClusterSums) -> Iterator[tuple[str, ClusterSums, list[Metric]]]:
    """Yield each subset of the items with its sums and metrics.

    Strata come first, if the benchmark reports them, then the subsets that margins may name.
    """
    module = benchmark_module(kind)
    metrics = module.metrics_of(sums.columns)
    for stratum in sums.strata if module.BY_STRATUM else ():
        yield stratum, sums.select(stratum), metrics
    for subset in KINDS[kind].measures.subsets:
        yield subset, sums, [module.over(metric, subset) for metric in metrics]


def tallies(kind: str, joined: pd.DataFrame) -> list[Tallied]:
    """Return one tally per condition, wording and scoring; metrics and sums both start from it.

    Args:
        kind: the kind of benchmark.
        joined: the responses, joined with their items.
    """
    module = benchmark_module(kind)
    return [(place, tally_of(module, rows)) for place, rows in conditions(joined)]


def tally_of(module: BenchmarkModule, rows: pd.DataFrame) -> Tally:
    """Return the columns to sum for responses that are joined with their items."""
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
