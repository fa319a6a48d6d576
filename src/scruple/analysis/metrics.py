"""The metrics table: one row per checkpoint × benchmark × subset × condition × … × metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scruple.benchmarks import benchmark_module

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
]
"""Columns of the metrics table, in order; what does not apply is empty."""
NUMBERS = ["params", "step", "value", "ci_low", "ci_high", "n_items", "n_clusters"]
"""Those of them that hold numbers; the others hold names, whatever these look like."""


def measure(
    kind: str, items: pd.DataFrame, responses: pd.DataFrame, keys: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the metrics of one checkpoint's responses to one benchmark.

    Args:
        kind: the kind of benchmark.
        items: its items.
        responses: its responses; their `item_id` are among the items'.
        keys: values of the columns that are the same in all rows; missing ones stay empty.
    """
    table = benchmark_module(kind).measure(join(items, responses))
    for name in COLUMNS:
        if name not in table:
            table[name] = keys.get(name)
    # twelve decimals: sums of the same numbers in another order differ after that
    return table[COLUMNS].round({"value": 12, "ci_low": 12, "ci_high": 12})


def join(items: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Return responses with their items' columns."""
    return responses.merge(items, on="item_id", how="left", validate="many_to_one")


def read_metrics(path: str | Path) -> pd.DataFrame:
    """Read a metrics table: numbers as numbers, all else as text, also `NA` and `007`."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table[NUMBERS] = table[NUMBERS].apply(pd.to_numeric)
    return table
