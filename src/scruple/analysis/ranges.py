"""The metrics of answers that were made elsewhere, of which some may be unknown.

An unknown answer is one that is unclear, or missing. It is not left out as if chance had chosen it:
each metric gets the range over everything that the unknown answers could have been.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scruple.analysis.metrics import COLUMNS, arranged, parts, tally_of
from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.reader import reader_of
from scruple.benchmarks.tally import BY_CLUSTER, Tally, estimate, sum_up
from scruple.statistics.clusters import ClusterSums
from scruple.statistics.metric import Metric, range_of_most_common
from scruple.study.kinds import KINDS

RANGE = ["value_low", "value_high", "coverage"]
"""The columns that a table of metrics has in addition if answers can be unknown."""
_UNKNOWN = "unknown"
_POSITION = "position_bias"


def measure_answers(
    kind: str,
    items: pd.DataFrame,
    answers: pd.DataFrame,
    keys: Mapping[str, Any],
    sampled: bool = False,
) -> pd.DataFrame:
    """Return the metrics of answers made elsewhere, with the columns COLUMNS and RANGE.

    `value_low` and `value_high` are the lowest and highest value over all answers that the unknown
    ones could have been, where the value is defined. `value` is empty if they differ, its interval
    if any answer to the metric's items is unknown. Without a range (a metric that is not in the
    reader's `bounded`) all of these are empty. `coverage` is the share of the weight of the
    metric's items whose answer is known.

    Args:
        kind: the kind of benchmark.
        items: the benchmark's items.
        answers: `item_id`, `condition` and `answer`; None where it is unknown.
        keys: values of the columns that are the same in all rows.
        sampled: whether items without a row in `answers` were not asked, so that they are no part
            of the metrics; otherwise their answers are unknown.
    """
    rows: list[dict[str, Any]] = []
    for condition, own in answers.groupby("condition", sort=False):
        asked = items.merge(
            own[["item_id", "answer"]], on="item_id", how="inner" if sampled else "left"
        )
        shared = {"condition": condition, "wording": "", "scoring": ""}
        rows += _metrics(kind, asked.assign(**shared, order=0, sample=0, target=""), shared)
    return arranged(rows, keys, [*COLUMNS, *RANGE])


def _metrics(kind: str, rows: pd.DataFrame, place: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the metrics table of one condition."""
    module = benchmark_module(kind)
    bounded = reader_of(module).bounded
    unknown = rows["answer"].isna().to_numpy()
    tallies = _assigned(module, rows, unknown)
    every = [list(parts(kind, sum_up(tally))) for tally in (_known(tallies[0], unknown), *tallies)]
    for (subset, known, metrics), *assigned in zip(*every, strict=True):
        sums = [each for _, each, _ in assigned]
        for metric, row in zip(metrics, estimate(sums[0], metrics, subset, place), strict=True):
            coverage = _share(metric.weighed(known).sum(), metric.weighed(sums[0]).sum())
            if metric.name == _POSITION:
                low, high = _of_position(module, known, subset)
            elif metric.name in bounded or coverage == 1:
                low, high = _among(metric, sums)
            else:
                low = high = math.nan
            yield _with_range(row, low, high, coverage)


def _assigned(module: BenchmarkModule, rows: pd.DataFrame, unknown: np.ndarray) -> list[Tally]:
    """Return one tally for each assignment of the unknown answers, with their weight in UNKNOWN."""
    known = rows["answer"].to_numpy(dtype=object)
    assignments = reader_of(module).extremes(rows) if unknown.any() else []
    answers = [np.where(unknown, chosen, known) for chosen in assignments]
    answers = answers or [np.where(unknown, module.ANSWERS[0], known)]
    tallies = [tally_of(module, rows.assign(answer=chosen)) for chosen in answers]
    return [{**tally, _UNKNOWN: tally["n"] * unknown} for tally in tallies]


def _known(tally: Tally, unknown: np.ndarray) -> Tally:
    """Return a tally whose columns are sums over the known answers, except UNKNOWN."""
    names = (*BY_CLUSTER, _UNKNOWN)
    return {name: cells if name in names else cells * ~unknown for name, cells in tally.items()}


def _among(metric: Metric, sums: Sequence[ClusterSums]) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric among several assignments."""
    values = np.array([metric.function(each.by_stratum()) for each in sums], dtype=float)
    values = values[~np.isnan(values)]
    return (float(values.min()), float(values.max())) if len(values) else (math.nan, math.nan)


def _of_position(module: BenchmarkModule, known: ClusterSums, subset: str) -> tuple[float, float]:
    """Return bounds of the share of the most frequent answer, from sums over the known answers."""
    places = [name for name in known.columns if name.startswith("place_")]
    functions = range_of_most_common(known.columns, places, _UNKNOWN)
    ends = (module.over(Metric(_POSITION, function, "items"), subset) for function in functions)
    low, high = (float(end.function(known.by_stratum())) for end in ends)
    return low, high


def _with_range(row: Mapping[str, Any], low: float, high: float, coverage: float) -> dict[str, Any]:
    """Return a row with its range; its value is empty if that is not one number."""
    one = round(low, 12) == round(high, 12)
    row = {**row, "value_low": low, "value_high": high, "coverage": coverage}
    if not one:
        row["value"] = math.nan
    if not one or coverage < 1:
        row["ci_low"] = row["ci_high"] = math.nan
    return row


def _share(part: float, whole: float) -> float:
    """Return part / whole, exactly 1 for equal sums; NaN if there is nothing."""
    return part / whole if whole else math.nan


def printed(kind: str, table: pd.DataFrame) -> str:
    """Return the rows over all items as aligned text: value, interval, range and coverage."""
    rows = table[table["subset"] == KINDS[kind].subset]
    shown = pd.DataFrame(
        {
            "condition": rows["condition"],
            "metric": rows["metric"],
            "value": rows["value"].map(_number),
            "95 % interval": _pair(rows["ci_low"], rows["ci_high"]),
            "low to high": _pair(rows["value_low"], rows["value_high"]),
            "coverage": rows["coverage"].map(_number),
        }
    )
    if not rows["condition"].any():
        shown = shown.drop(columns="condition")
    for name in shown.columns.intersection(["condition", "metric"]):
        width = max(len(name), *shown[name].map(len))
        shown[name] = shown[name].str.ljust(width)
        shown = shown.rename(columns={name: name.ljust(width)})
    return shown.to_string(index=False)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def _pair(low: pd.Series, high: pd.Series) -> pd.Series:
    return low.map(_number).str.cat(high.map(_number), sep=" to ").replace(" to ", "")
