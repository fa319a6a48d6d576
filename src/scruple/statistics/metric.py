"""Metrics, defined as functions of sums over clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scruple.statistics.clusters import ClusterSums, Function, identity


@dataclass(frozen=True)
class Metric:
    """A metric as a function of sums; most metrics are shares between 0 and 1.

    Attributes:
        name: name in the metrics table.
        function: maps sums of shape (..., S, K) to values of shape (...).
        count: the column whose sum is the number of items in the value: `items` or
            `items_<part>`. The column `n` or `n_<part>` has the sum of their weights.
        bounds: the lowest and the highest possible value; intervals are clipped to them.
        transform: maps to the scale on which the interval is computed.
        inverse: the inverse of `transform`.
    """

    name: str
    function: Function
    count: str
    bounds: tuple[float, float] = (0.0, 1.0)
    transform: Callable[[np.ndarray], np.ndarray] = field(default=identity)
    inverse: Callable[[np.ndarray], np.ndarray] = field(default=identity)

    def counted(self, sums: ClusterSums) -> np.ndarray:
        """Return the number of items that the metric uses in each cluster, shape (C,).

        A cluster without such items has no information, so it must not add a degree of freedom.
        """
        return sums.sums[:, sums.columns.index(self.count)]

    def weighed(self, sums: ClusterSums) -> np.ndarray:
        """Return the total weight of these items in each cluster, shape (C,)."""
        return sums.sums[:, sums.columns.index("n" + self.count.removeprefix("items"))]


def ratio(columns: Sequence[str], top: str, bottom: str) -> Function:
    """Return the statistic Σ top / Σ bottom over all strata; undefined if Σ bottom is 0."""
    i, j = columns.index(top), columns.index(bottom)

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)
        return divide(total[..., i], total[..., j])

    return function


def share_of_most_common(columns: Sequence[str], counts: Sequence[str]) -> Function:
    """Return the statistic max(counts) / Σ counts: 1 if the answer is always the same."""
    places = [columns.index(name) for name in counts]

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)[..., places]
        return divide(total.max(axis=-1), total.sum(axis=-1))

    return function


def range_of_most_common(
    columns: Sequence[str], counts: Sequence[str], unknown: str
) -> tuple[Function, Function]:
    """Return bounds of `share_of_most_common` where some answers are unknown.

    Let c_k be the counts of K answers, u the weight of the unknown ones and n = Σ c_k + u. The
    share is highest, (max c_k + u) / n, if they are all the most frequent answer. It is at least
    max(max c_k, n / K) / n; weights that do not divide evenly may keep it from being that low.
    """
    places, i = [columns.index(name) for name in counts], columns.index(unknown)

    def low(sums: np.ndarray) -> np.ndarray:
        most, n = _most(sums.sum(axis=-2))
        return divide(np.maximum(most, n / len(places)), n)

    def high(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)
        most, n = _most(total)
        return divide(most + total[..., i], n)

    def _most(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        known = total[..., places]
        return known.max(axis=-1), known.sum(axis=-1) + total[..., i]

    return low, high


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; the result is NaN where the denominator is 0 (up to rounding in sums)."""
    zero = np.abs(bottom) < 1e-9
    return np.where(zero, np.nan, top / np.where(zero, 1.0, bottom))
