"""The metrics table: one row per checkpoint × benchmark × subset × condition × … × metric."""

from __future__ import annotations

from collections.abc import Mapping
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
    joined = responses.merge(items, on="item_id", how="left", validate="many_to_one")
    table = benchmark_module(kind).measure(joined)
    for name in COLUMNS:
        if name not in table:
            table[name] = keys.get(name)
    return table[COLUMNS]
