"""The table of sums: what every statistic of a study is computed from, small and additive.

One row per condition × wording × scoring × option order × stratum × cluster. Rows of several
orders add up to the whole; so do rows of shards, since a cluster's items stay together.
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
        tallied: as `scruple.analysis.metrics.tallies` returns it.

    Returns:
        GROUP, PLACE, and a column per sum; a sum that a condition does not have is empty.
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
    """Return the sums of one condition, over all orders or of one; None if there are none.

    Args:
        table: as `sums_table` returns it.
        condition: its name.
        wording: of its instruction; conditions without one have none.
        scoring: of its answers.
        order: of the options; None for all.
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
