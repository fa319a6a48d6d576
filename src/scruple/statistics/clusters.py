"""Statistics computed from sums over clusters, and their jackknife intervals.

Every metric of this project can be written as a function of sums over items: a bias is a ratio of
counts, a correlation is a function of five moments. So a table of items is reduced once to one row
of sums per cluster. Each resample is then arithmetic on a small array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

Function = Callable[[np.ndarray], np.ndarray]
"""Maps sums of shape (..., strata, columns) to values of shape (...); NaN if undefined."""


@dataclass(frozen=True)
class ClusterSums:
    """Sums of columns over the items of each cluster.

    Attributes:
        columns: names of the summed columns, length K.
        sums: one row per cluster, shape (C, K).
        stratum: the stratum (for BBQ: the category) of each cluster, shape (C,), from 0 to S − 1.
        strata: names of the strata, length S.
    """

    columns: tuple[str, ...]
    sums: np.ndarray
    stratum: np.ndarray
    strata: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, columns: list[str]) -> ClusterSums:
        """Sum columns of a table of items over each `cluster` within each `stratum`."""
        grouped = table.groupby(["stratum", "cluster"], sort=True)[columns].sum()
        labels = grouped.index.get_level_values("stratum")
        strata = tuple(sorted(set(labels)))
        numbers = np.array([strata.index(label) for label in labels], dtype=int)
        return cls(tuple(columns), grouped.to_numpy(dtype=float), numbers, strata)

    def select(self, stratum: str) -> ClusterSums:
        """Return the clusters of one stratum only."""
        mine = self.stratum == self.strata.index(stratum)
        return ClusterSums(
            self.columns, self.sums[mine], np.zeros(mine.sum(), dtype=int), (stratum,)
        )

    def keep(self, clusters: np.ndarray) -> ClusterSums:
        """Return the clusters selected by a boolean mask of shape (C,), with all strata."""
        return ClusterSums(self.columns, self.sums[clusters], self.stratum[clusters], self.strata)

    def by_stratum(self) -> np.ndarray:
        """Return the sums over each stratum, shape (S, K)."""
        totals = np.zeros((len(self.strata), len(self.columns)))
        np.add.at(totals, self.stratum, self.sums)
        return totals


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; undefined numbers are NaN.

    Attributes:
        value: the statistic.
        low: lower end of the interval.
        high: upper end of the interval.
        error: standard error, on the scale on which the interval is computed.
        degrees: degrees of freedom of the standard error: the equivalent number of clusters of
            equal size, minus one per stratum.
        clusters: number of clusters in the estimate.
        items: number of items in the estimate.
        strata: number of strata of these clusters.
        bounds: the lowest and the highest possible value.
    """

    value: float
    low: float
    high: float
    error: float = float("nan")
    degrees: float = 0
    clusters: int = 0
    items: int = 0
    strata: int = 1
    bounds: tuple[float, float] = (-math.inf, math.inf)


def identity(values: np.ndarray) -> np.ndarray:
    """Return the values unchanged: most intervals are computed without a transformation."""
    return values


def jackknife(
    data: ClusterSums,
    function: Function,
    size: np.ndarray | None = None,
    transform: Callable[[np.ndarray], np.ndarray] = identity,
    inverse: Callable[[np.ndarray], np.ndarray] = identity,
    level: float = 0.95,
) -> Estimate:
    """Estimate a statistic and its interval from clustered items.

    This is the stratified delete-one jackknife (Shao & Tu 1995, "The Jackknife and Bootstrap"):
    the whole statistic is recomputed with each cluster left out in turn. With S strata of C_s
    clusters, the variance is Σ_s v_s, where v_s = (C_s − 1)/C_s Σ_i (θ_(si) − θ̄_s)². The interval
    is θ ± t(d) · √variance. Percentile intervals would be too narrow with the 25 unequal clusters
    of a BBQ category. The degrees of freedom d = (Σ v_s)² / Σ (v_s² / d_s) are Satterthwaite's;
    d_s comes from `degrees_of`. The interval is undefined if a stratum has a single cluster, or if
    the statistic or one of its leave-one-out values is undefined.

    Args:
        data: sums per cluster, C clusters in S strata.
        function: the statistic, from sums of shape (..., S, K) to (...).
        size: weight of the items in each cluster, shape (C,); None for equal weights.
        transform: maps to the scale on which the interval is computed (arctanh for a correlation).
        inverse: the inverse of `transform`.
        level: coverage probability of the interval.
    """
    totals = data.by_stratum()
    value = float(function(totals))
    clusters = len(data.sums)
    undefined = Estimate(value, float("nan"), float("nan"), clusters=clusters)
    counts = np.bincount(data.stratum, minlength=len(data.strata))
    if not np.isfinite(value) or counts.min() < 2:
        return undefined
    with np.errstate(divide="ignore", invalid="ignore"):
        center = float(transform(np.asarray(value)))
        left_out = transform(leave_out(data, function))
    if not (np.isfinite(left_out).all() and np.isfinite(center)):
        return undefined
    variances = _variances(left_out, data.stratum)
    sizes = np.ones(clusters) if size is None else size
    each = np.array([degrees_of(sizes[data.stratum == s]) for s in range(len(counts))])
    error, degrees = pooled_error(variances, each)
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    low, high = inverse(np.array([center - reach, center + reach]))
    return Estimate(value, float(low), float(high), error, degrees, clusters, strata=len(counts))


def degrees_of(size: np.ndarray) -> float:
    """Return the degrees of freedom of a jackknife variance over clusters of unequal size.

    The formula is from Bell & McCaffrey (2002, "Bias reduction in standard errors for linear
    regression with multi-stage samples", Survey Methodology 28). It is for a mean over clusters
    whose effects have equal variance, where each cluster has a share w of the items:
    (tr B)² / tr B², with B = A (I − 1wᵀ)(I − w1ᵀ) and A the diagonal matrix of (w / (1 − w))².
    For clusters of equal size it gives C − 1.

    Args:
        size: weight of the items in each of C ≥ 2 clusters, all positive, shape (C,).
    """
    w = size / size.sum()
    a, q = (w / (1 - w)) ** 2, float(w @ w)
    moments = [float(a @ w**k) for k in range(3)]
    trace = float(a @ (1 - 2 * w + q))
    square = (
        q**2 * moments[0] ** 2 + 2 * moments[2] * moments[0] - 4 * q * moments[1] * moments[0]
        + 2 * moments[1] ** 2 + float(a**2 @ (1 + 2 * q - 4 * w))
    )  # fmt: skip
    return trace**2 / square


def pooled_error(variances: np.ndarray, degrees: np.ndarray) -> tuple[float, float]:
    """Return the standard error of a sum of independent parts, and its degrees of freedom.

    The degrees of freedom are those of Satterthwaite (1946, "An approximate distribution of
    estimates of variance components"). If all variances are zero, they are the sum over the parts.
    """
    total = float(variances.sum())
    if total == 0:
        return 0.0, float(degrees.sum())
    shares = variances / total
    return math.sqrt(total), 1 / float((shares**2 / degrees).sum())


def leave_out(data: ClusterSums, function: Function) -> np.ndarray:
    """Return a statistic's leave-one-out values, one per cluster, shape (C,)."""
    without = np.repeat(data.by_stratum()[None], len(data.sums), axis=0)
    without[np.arange(len(data.sums)), data.stratum] -= data.sums
    return function(without)


def jackknife_covariance(left_out: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return the covariance of statistics from their leave-one-out values.

    It is Σ_s (C_s − 1)/C_s Σ_i (θ_(si) − θ̄_s)(θ_(si) − θ̄_s)ᵀ (Shao & Tu 1995). Statistics of the
    same clusters are correlated, for example those of several checkpoints.

    Args:
        left_out: leave-one-out values of K statistics, shape (C, K).
        stratum: stratum of each cluster, shape (C,).

    Returns:
        The covariance matrix, shape (K, K).
    """
    centered, weights = _centered(left_out, stratum)
    covariance: np.ndarray = (centered * weights[:, None]).T @ centered
    return covariance


def _variances(left_out: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return the contribution of each stratum to the variance of one statistic, shape (S,)."""
    centered, weights = _centered(left_out[:, None], stratum)
    return np.bincount(stratum, weights * centered[:, 0] ** 2)


def _centered(left_out: np.ndarray, stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations from the stratum means, shape (C, K), and (C_s − 1)/C_s, shape (C,)."""
    counts = np.bincount(stratum)
    means = np.zeros((len(counts), left_out.shape[1]))
    np.add.at(means, stratum, left_out)
    centered = left_out - (means / np.maximum(counts, 1)[:, None])[stratum]
    return centered, ((counts - 1) / np.maximum(counts, 1))[stratum]
