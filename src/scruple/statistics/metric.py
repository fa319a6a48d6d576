"""Metrics as functions of sums over clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scruple.statistics.clusters import ClusterSums, Function, identity


@dataclass(frozen=True)
class Metric:
    """A metric as a function of sums; most are shares, from 0 to 1.

    Attributes:
        name: as in the metrics table.
        function: from sums of shape (..., S, K) to (...).
        count: the column whose sum is the number of items behind the value: `items`, or
            `items_<part>`, beside which `n_<part>` sums their weights.
        bounds: the values that the metric can take; its interval is cut there.
        transform: the scale on which its interval is made.
        inverse: the way back.
    """

    name: str
    function: Function
    count: str
    bounds: tuple[float, float] = (0.0, 1.0)
    transform: Callable[[np.ndarray], np.ndarray] = field(default=identity)
    inverse: Callable[[np.ndarray], np.ndarray] = field(default=identity)

    def counted(self, sums: ClusterSums) -> np.ndarray:
        """Return the number of items behind the value in each cluster, shape (C,).

        A cluster without any says nothing, and must not count as a degree of freedom.
        """
        return sums.sums[:, sums.columns.index(self.count)]

    def weighed(self, sums: ClusterSums) -> np.ndarray:
        """Return the weight of these items in each cluster, shape (C,)."""
        return sums.sums[:, sums.columns.index("n" + self.count.removeprefix("items"))]


def ratio(columns: Sequence[str], top: str, bottom: str) -> Function:
    """Return the statistic Σ top / Σ bottom over all strata; undefined where Σ bottom is 0."""
    i, j = columns.index(top), columns.index(bottom)

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)
        return divide(total[..., i], total[..., j])

    return function


def share_of_most_common(columns: Sequence[str], counts: Sequence[str]) -> Function:
    """Return the statistic max over counts / Σ counts: 1 where the answer is always the same."""
    places = [columns.index(name) for name in counts]

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)[..., places]
        return divide(total.max(axis=-1), total.sum(axis=-1))

    return function


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is 0 (up to rounding of sums)."""
    zero = np.abs(bottom) < 1e-9
    return np.where(zero, np.nan, top / np.where(zero, 1.0, bottom))
