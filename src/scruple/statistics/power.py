"""The number of clusters that a study needs, from the variance in a pilot."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from statsmodels.stats.power import TTestPower

from scruple.statistics.clusters import Estimate
from scruple.statistics.effects import ALPHA

_FEWEST, _MOST = 3, 10_000_000
"""Range of the search, in clusters; it starts higher if two per stratum are more than 3."""
_CERTAIN = 20.0
"""Distance in standard errors above which power is taken as 1; there the t integral fails."""


def clusters_needed(pilot: Estimate, distance: float, power: float, alpha: float = ALPHA) -> float:
    """Return how many clusters are needed to show that a value is above a bound.

    The variance per cluster is that of the pilot, error² · clusters. The power of the one-sided t
    test comes from the noncentral t distribution, with degrees of freedom in proportion to the
    pilot's.

    Args:
        pilot: the same difference, estimated in the pilot.
        distance: assumed distance between the value and the bound.
        power: probability of a significant result at that distance.
        alpha: significance level of the test.

    Returns:
        The number of clusters; infinite if no number suffices; NaN if the pilot gives no variance
        (its error is undefined or zero).
    """
    if math.isnan(pilot.error) or pilot.clusters == 0:
        return float("nan")
    if distance <= 0:
        return float("inf")
    spread = pilot.error * math.sqrt(pilot.clusters)
    if spread == 0:
        return float("nan")
    fewest = max(_FEWEST, 2 * pilot.strata)
    size = distance / spread
    share = (pilot.degrees + 1) / pilot.clusters if pilot.degrees else 1.0

    def lacking(clusters: float) -> float:
        if size * math.sqrt(clusters) > _CERTAIN:
            return 1 - power
        df = max(share * clusters - 1, 1.0)
        found = TTestPower().power(size, clusters, alpha, df=df, alternative="larger")
        return float(found) - power

    if lacking(fewest) >= 0:
        return float(fewest)
    if lacking(_MOST) < 0:
        return float("inf")
    return float(math.ceil(brentq(lacking, fewest, _MOST)))
