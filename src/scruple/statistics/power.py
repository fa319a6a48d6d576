"""How many clusters a study needs, from the variance in a pilot's."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from statsmodels.stats.power import TTestPower

from scruple.statistics.clusters import Estimate
from scruple.statistics.effects import ALPHA

_FEWEST, _MOST = 3, 10_000_000
"""Clusters between which an answer is looked for; of each stratum at least two are needed."""
_CERTAIN = 20.0
"""Standard errors between value and bound from which on it is found, and the t integral fails."""


def clusters_needed(pilot: Estimate, distance: float, power: float, alpha: float = ALPHA) -> float:
    """Return how many clusters show that a value lies beyond a bound.

    The variance of a cluster's share is taken from the pilot, error² · clusters, and the one-sided
    t test's power from the noncentral t distribution, with degrees of freedom in proportion to the
    pilot's. Of a pilot in which nothing
    varies there is nothing to plan from.

    Args:
        pilot: the same difference, estimated in the pilot.
        distance: from the bound to the value that is to be found.
        power: probability of finding it.
        alpha: level of the test.

    Returns:
        The number; infinite where it can never be, NaN where the pilot says nothing.
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
