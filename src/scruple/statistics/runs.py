"""Statistics of one condition, of a pair of conditions, and over several training runs."""

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
    """A statistic of clustered items, with everything that its interval needs.

    Attributes:
        data: sums per cluster, C clusters in S strata.
        function: maps sums of shape (..., S, K) to values of shape (...).
        size: weight of the items in each cluster, shape (C,).
        items: number of items.
        bounds: the lowest and the highest possible value.
    """

    data: ClusterSums
    function: Function
    size: np.ndarray
    items: int
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def value(self) -> float:
        """Return the value over all clusters."""
        return float(self.function(self.data.by_stratum()))

    def left_out(self) -> np.ndarray:
        """Return the leave-one-out values, one per cluster, shape (C,)."""
        return leave_out(self.data, self.function)

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the value with its jackknife interval."""
        found = jackknife(self.data, self.function, self.size, level=level)
        return replace(found, items=self.items, bounds=self.bounds)


def paired(first: Statistic, second: Statistic) -> Statistic:
    """Return the difference of a statistic between two conditions, `first` minus `second`.

    A cluster is left out of both conditions at once, so variation that they share cancels.

    Raises:
        ValueError: if the two do not have the same clusters.
    """
    (low, high), (other_low, other_high) = first.bounds, second.bounds
    bounds = (low - other_high, high - other_low)
    return replace(_joined([first, second], lambda parts: parts[0] - parts[1]), bounds=bounds)


def mean_of(runs: Sequence[Statistic]) -> Statistic:
    """Return the mean of a statistic over training runs, which all get the same items.

    Raises:
        ValueError: if the runs do not have the same clusters.
    """
    return _joined(runs, lambda parts: np.mean(parts, axis=0))


def between(runs: Sequence[Statistic]) -> float:
    """Return the variance between R runs divided by R, as part of their mean's; 0 for one run."""
    if len(runs) == 1:
        return 0.0
    return float(np.var([run.value() for run in runs], ddof=1) / len(runs))


def over_runs(runs: Sequence[Statistic], level: float = 0.95) -> Estimate:
    """Estimate the mean of a statistic over all training runs that a recipe could have.

    Runs and clusters are crossed, because all runs get the same items. The variance is the variance
    of the mean over clusters plus the variance between runs divided by their number. The
    interaction of cluster and run is counted in both parts, so it never makes the interval too
    narrow (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1). With a single
    run, this is the run's own estimate.
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
    """Combine several statistics of the same clusters into one (ValueError if they differ)."""
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
