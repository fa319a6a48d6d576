"""Statistics with all that their intervals need: of one condition, of a pair, of training runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from scruple.statistics.clusters import (
    ClusterSums,
    Estimate,
    Function,
    jackknife,
    leave_out,
    pooled_error,
)


@dataclass(frozen=True)
class Statistic:
    """A function of clustered items, with all that its interval needs.

    Attributes:
        data: sums per cluster, C clusters in S strata.
        function: from sums of shape (..., S, K) to (...).
        size: weight of the items in each cluster, shape (C,).
        items: number of items.
        bounds: the values that it can take.
    """

    data: ClusterSums
    function: Function
    size: np.ndarray
    items: int
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def value(self) -> float:
        """Return the statistic."""
        return float(self.function(self.data.by_stratum()))

    def left_out(self) -> np.ndarray:
        """Return the statistic with each cluster left out in turn, shape (C,)."""
        return leave_out(self.data, self.function)

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the statistic with its interval."""
        found = jackknife(self.data, self.function, self.size, level=level)
        return replace(found, items=self.items, bounds=self.bounds)


def paired(first: Statistic, second: Statistic) -> Statistic:
    """Return the difference of a statistic between two conditions.

    Leaving a cluster out leaves it out of both, so that what the conditions share cancels.

    Raises:
        ValueError: if they are not of the same clusters.
    """
    (low, high), (other_low, other_high) = first.bounds, second.bounds
    bounds = (low - other_high, high - other_low)
    return replace(_joined([first, second], lambda parts: parts[0] - parts[1]), bounds=bounds)


def mean_of(runs: Sequence[Statistic]) -> Statistic:
    """Return the mean of a statistic over training runs, all asked the same items.

    Raises:
        ValueError: if they are not of the same clusters.
    """
    return _joined(runs, lambda parts: np.mean(parts, axis=0))


def between(runs: Sequence[Statistic]) -> float:
    """Return what R runs add to the variance of their mean: that between them, over R; 0 of one."""
    if len(runs) == 1:
        return 0.0
    return float(np.var([run.value() for run in runs], ddof=1) / len(runs))


def over_runs(runs: Sequence[Statistic], level: float = 0.95) -> Estimate:
    """Estimate the mean of a statistic over the training runs that a recipe could have had.

    Runs and clusters are crossed, since all runs are asked the same items: the variance is that of
    the mean over clusters plus that between runs. What a cluster does in one run only is counted
    in both, so intervals are never too narrow for it (Owen 2007, "The pigeonhole bootstrap",
    Annals of Applied Statistics 1).
    """
    if len(runs) == 1:
        return runs[0].estimate(level)
    mean = mean_of(runs).estimate(level)
    if math.isnan(mean.error):
        return mean
    parts = np.array([mean.error**2, between(runs)])
    error, degrees = pooled_error(parts, np.array([mean.degrees, len(runs) - 1.0]))
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    low, high = mean.value - reach, mean.value + reach
    return replace(mean, low=low, high=high, error=error, degrees=degrees)


def _joined(
    parts: Sequence[Statistic], combine: Callable[[list[np.ndarray]], np.ndarray]
) -> Statistic:
    """Return a function of several statistics of the same clusters."""
    first = parts[0]
    for part in parts[1:]:
        same = part.data.columns == first.data.columns and part.data.strata == first.data.strata
        if not same or not np.array_equal(part.data.stratum, first.data.stratum):
            raise ValueError("the statistics are not of the same clusters")
    k = len(first.data.columns)
    columns = tuple(f"{n} {name}" for n, part in enumerate(parts) for name in part.data.columns)
    sums = np.hstack([part.data.sums for part in parts])
    data = ClusterSums(columns, sums, first.data.stratum, first.data.strata)

    def function(sums: np.ndarray) -> np.ndarray:
        blocks = (sums[..., n * k : (n + 1) * k] for n in range(len(parts)))
        return combine([part.function(block) for part, block in zip(parts, blocks, strict=True)])

    return Statistic(data, function, first.size, first.items, first.bounds)
