"""The table of sums, from which every statistic of a study is computed; small and additive.

It has one row per condition × wording × scoring × option order × stratum × cluster. The rows of
several orders add up to the whole. So would the rows of shards, because all trials of an item are
in the same shard.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scruple.analysis.metrics import Tallied
from scruple.benchmarks.tally import GROUP
from scruple.statistics.clusters import ClusterSums

PLACE = ["order", "stratum", "cluster"]


def sums_table(tallied: Sequence[Tallied]) -> pd.DataFrame:
    """Return the sums of one checkpoint's responses to one benchmark.

    Args:
        tallied: the output of `scruple.analysis.metrics.tallies`.

    Returns:
        The columns GROUP and PLACE, and one column per sum; empty where a condition lacks a sum.
    """
    tables = []
    for keys, tally in tallied:
        summed = pd.DataFrame(tally).groupby(PLACE, sort=True, as_index=False).sum()
        for number, name in enumerate(GROUP):
            summed.insert(number, name, keys[name])
        tables.append(summed)
    return pd.concat(tables, ignore_index=True)


def select(
    table: pd.DataFrame, condition: str, wording: str, scoring: str, order: int | None = None
) -> ClusterSums | None:
    """Return the sums of one condition, over all orders or for one; None if there are none.

    Args:
        table: the output of `sums_table`.
        condition: the condition's name.
        wording: the wording of its instruction; ignored for conditions without wordings.
        scoring: how its answers are scored.
        order: the order of the options; None for all orders.
    """
    mine = (table["condition"] == condition) & (table["scoring"] == scoring)
    mine &= table["wording"].isin([wording, ""])
    if order is not None:
        mine &= table["order"] == order
    rows = table[mine]
    if rows.empty:
        return None
    names = [
        str(name) for name in rows if name not in (*GROUP, *PLACE) and rows[name].notna().all()
    ]
    return ClusterSums.of(rows, names)
