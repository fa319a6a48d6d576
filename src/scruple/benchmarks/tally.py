"""From responses to metrics: the steps that all benchmarks share.

A condition's responses become a *tally*: columns that are summed over clusters. Metrics are
functions of those sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scruple.errors import ScrupleError
from scruple.statistics.clusters import ClusterSums, jackknife
from scruple.statistics.metric import Metric, ratio, share_of_most_common

Tally = dict[str, np.ndarray]

GROUP = ["condition", "wording", "scoring"]
"""Metrics are computed separately for each combination of these columns."""
ENDED = {"reasoning_cut": "turn", "reasoning_unfinished": "length"}
"""Share of reasonings → the reason why they ended, see the column `reasoning_end`."""
BY_CLUSTER = ("stratum", "cluster", "order")
"""The columns of a tally that are not summed."""
TOKENS = ("prompt_tokens", "reasoning_tokens")
"""The cost of a response: tokens read (the reasoning included), and tokens sampled."""


def conditions(responses: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the keys and rows of each combination of condition, wording and scoring."""
    for keys, rows in responses.groupby(GROUP, sort=False, dropna=False):
        yield dict(zip(GROUP, keys, strict=True)), rows


def tally(rows: pd.DataFrame, shown: np.ndarray, places: int) -> Tally:
    """Return the columns that all benchmarks sum.

    Args:
        rows: the N responses of one condition, with the columns of their items.
        shown: the place of each response's answer among the answers offered, shape (N,).
        places: the number of answers offered.

    Returns:
        `stratum` and `cluster`; `n`, the weight of each response: its item's weight divided by the
        item's number of responses (orders × samples); `items`, the same for an item weight of 1;
        `place_<k>`, the weight if the answer was in place k, otherwise 0; `valid_mass`, TOKENS and
        ENDED, times the weight, if the responses have them.
    """
    share = 1 / rows.groupby("item_id")["item_id"].transform("size").to_numpy()
    weight = share * rows["weight"].to_numpy()
    columns = {
        "stratum": rows["stratum"].to_numpy(),
        "cluster": rows["cluster"].to_numpy(),
        "n": weight,
        "items": share,
        **{f"place_{k}": weight * (shown == k) for k in range(places)},
    }
    if "valid_mass" in rows:
        columns["valid_mass"] = weight * rows["valid_mass"].to_numpy(dtype=float)
    for name in (count for count in TOKENS if count in rows):
        columns[name] = weight * rows[name].to_numpy(dtype=float)
    if "reasoning_end" in rows:
        for name, reason in ENDED.items():
            columns[name] = weight * (rows["reasoning_end"] == reason).to_numpy()
    return columns


def asks_outright(rows: pd.DataFrame) -> bool:
    """Return whether the prompts ask for a given answer, so that only following is measured."""
    return bool((rows["target"] != "").all())


def following(weight: np.ndarray, p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the column to sum for `following`: weight times p of the requested answer.

    Args:
        weight: weight of each response, shape (N,).
        p: 1 for the answer given and 0 for others, or probabilities; shape (N, answers).
        asked: index of the requested answer, shape (N,).
    """
    return weight * p[np.arange(len(p)), asked]


def sum_up(columns: Tally) -> ClusterSums:
    """Sum a tally over its clusters."""
    names = [name for name in columns if name not in BY_CLUSTER]
    return ClusterSums.of(pd.DataFrame(columns), names)


def shared_metrics(columns: Sequence[str]) -> list[Metric]:
    """Return the metrics common to all benchmarks that these columns allow."""
    means = ("following", "following_expected", "valid_mass", *ENDED)
    counts = [name for name in TOKENS if name in columns]
    places = [name for name in columns if name.startswith("place_")]
    return [
        *(Metric(name, ratio(columns, name, "n"), "items") for name in means if name in columns),
        Metric("position_bias", share_of_most_common(columns, places), "items"),
        *(Metric(name, ratio(columns, name, "n"), "items", (0.0, np.inf)) for name in counts),
    ]


def estimate(
    sums: ClusterSums, metrics: Sequence[Metric], subset: str, keys: Mapping[Any, Any]
) -> list[dict[str, Any]]:
    """Return one row of the metrics table per metric, with its jackknife interval.

    Clusters without any items of a metric are dropped, and its interval is cut at its bounds.
    """
    rows = []
    for metric in metrics:
        counted = metric.counted(sums)
        present = sums.keep(counted > 0)
        result = jackknife(
            present, metric.function, metric.weighed(present), metric.transform, metric.inverse
        )
        rows.append(
            {
                **keys,
                "subset": subset,
                "metric": metric.name,
                "value": result.value,
                "ci_low": max(result.low, metric.bounds[0]),  # max keeps a NaN that comes first
                "ci_high": min(result.high, metric.bounds[1]),
                "n_items": round(counted.sum()),
                "n_clusters": int((counted > 0).sum()),
            }
        )
    return rows


def probabilities(responses: pd.DataFrame, answers: Sequence[str]) -> np.ndarray:
    """Return the probabilities of the answers, normalised to sum to 1; shape (rows, answers).

    If the responses have `tokens_<answer>`, each log-probability is first divided by the number of
    tokens of its candidate, so that long options are not at a disadvantage.

    Raises:
        ScrupleError: if a log-probability is NaN.
    """
    logs = responses[[f"logprob_{answer}" for answer in answers]].to_numpy(dtype=float)
    if np.isnan(logs).any():
        raise ScrupleError("the responses hold log-probabilities that are no numbers (NaN).")
    lengths = [f"tokens_{answer}" for answer in answers]
    if set(lengths) <= set(responses.columns):
        logs = logs / responses[lengths].fillna(1).to_numpy(dtype=float)
    shifted = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
