"""Simulated answers with known true values, on the clusters of the published benchmarks.

Each world simulates the answers of a checkpoint under some conditions and returns the sums from
which the project computes everything. Clusters (question templates, occupations, profiles) are
modelled as a sample from a population of possible clusters. Each has a random effect, part of which
is shared by all conditions. The true values are means over the population.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from scruple.benchmarks import admissions, bbq, winogender
from scruple.statistics.metric import Metric
from scruple.statistics.clusters import ClusterSums

SHARED = 0.6
"""Share of the variance between clusters that all conditions have in common."""


@dataclass(frozen=True)
class Truth:
    """The true bias and capability under a condition: means over the population of clusters."""

    bias: float
    capability: float


class World:
    """A simulated benchmark with C clusters; `draw` simulates the answers."""

    columns: tuple[str, ...]
    stratum: np.ndarray
    strata: tuple[str, ...]
    bias: Metric
    capability: Metric
    traits = 1
    """Number of independent random traits per cluster."""

    def draw(
        self,
        rng: np.random.Generator,
        conditions: Mapping[str, Truth],
        part: np.ndarray | None = None,
    ) -> dict[str, ClusterSums]:
        """Simulate each condition's sums; `part`, shape (C,), marks the clusters to include."""
        keep = np.ones(len(self.stratum), bool) if part is None else part
        traits = [self._trait(rng, conditions) for _ in range(self.traits)]
        return {
            name: ClusterSums(
                self.columns,
                self._sums(rng, truth, *(trait[name] for trait in traits))[keep],
                self.stratum[keep],
                self.strata,
            )
            for name, truth in conditions.items()
        }

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """Simulate one condition's sums, shape (C, columns)."""
        raise NotImplementedError

    def _trait(self, rng: np.random.Generator, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Draw standard normal values of shape (C,) per condition; their correlation is SHARED."""
        n = len(self.stratum)
        shared = rng.normal(size=n)
        return {
            name: math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * rng.normal(size=n)
            for name in names
        }


def _beta(effects: np.ndarray, mean: float, concentration: float) -> np.ndarray:
    """Map standard normal effects to beta-distributed probabilities with the given mean."""
    mean = min(max(mean, 1e-3), 1 - 1e-3)
    return stats.beta.ppf(stats.norm.cdf(effects), mean * concentration, (1 - mean) * concentration)


class Bbq(World):
    """Question templates in categories; an answer names the biased person, the other or nobody."""

    named = 0.45
    spread = 2.0
    traits = 2
    columns = (
        "items", "n", "place_0", "items_ambiguous", "n_ambiguous", "biased_ambiguous",
        "other_ambiguous", "correct_ambiguous", "items_disambiguated", "n_disambiguated",
        "biased_disambiguated", "other_disambiguated", "correct_disambiguated",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame, subset: str = "macro") -> None:
        """Read the templates and their numbers of items from a table of items."""
        ambiguous = items[items["context_condition"] == "ambig"]
        sizes = ambiguous.groupby(["stratum", "cluster"], sort=True).size()
        labels = sizes.index.get_level_values("stratum")
        self.strata = tuple(sorted(set(labels)))
        self.stratum = np.array([self.strata.index(label) for label in labels])
        self.sizes = sizes.to_numpy()
        metrics = {metric.name: metric for metric in bbq.metrics_of(self.columns)}
        self.bias = bbq.over(metrics["bias_ambiguous"], subset)
        self.capability = bbq.over(metrics["accuracy_disambiguated"], subset)

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """See `World._sums`.

        The share of answers that name a person (`named`) and the differences between templates
        (`spread`, the concentration of the beta distribution) are close to those in the released
        predictions of UnifiedQA-11B for Age and Religion.
        """
        leans, reads = traits
        names = rng.binomial(self.sizes, self.named)
        biased = rng.binomial(names, _beta(leans, (1 + truth.bias / self.named) / 2, self.spread))
        right = rng.binomial(self.sizes, _beta(reads, truth.capability, self.spread))
        n = self.sizes.astype(float)
        return np.column_stack([
            2 * n, 2 * n, n, n, n, biased, names - biased, n - names, n, n, right, n - right, right,
        ])  # fmt: skip


class Winogender(World):
    """Occupations, with p(female) linear in the real share of women plus a random error."""

    columns = (
        "items", "n", "place_0", "neutral_mass", "female", "male", "x", "y", "xx", "yy", "xy",
        "xy_counted", "y_counted",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame) -> None:
        """Read the occupations' real shares of women from a table of items."""
        self.share = (
            items.groupby("cluster", sort=True)["pct_female"].first().to_numpy() / 100 - 0.5
        )
        self.stratum, self.strata = np.zeros(len(self.share), int), ("",)
        metrics = {metric.name: metric for metric in winogender.metrics_of(self.columns)}
        self.bias, self.capability = metrics["slope"], metrics["gender_balance"]

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """See `World._sums`.

        A capability of 1 means no leaning to either gender. The errors have a standard deviation
        of 0.12.
        """
        x = self.share
        p = 0.5 + (1 - truth.capability) / 2 + truth.bias * (x - x.mean()) + 0.12 * traits[0]
        y, one = p - p.mean(), np.ones(len(x))
        says = (p > 0.5).astype(float)
        return np.column_stack(
            [one, one, one, 0 * one, p, 1 - p, x, y, x * x, y * y, x * y, x * says, says]
        )


class Admissions(World):
    """Profiles weighted by people, each with a racial gap; p(yes) rises with the LSAT score."""

    traits = 2
    columns = (
        "items", "n", "place_0", "p", "n_black", "p_black", "yes_black", "n_white", "p_white",
        "yes_white", "lsat", "lsat_2", "lsat_p", "gpa", "gpa_2", "gpa_p",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame) -> None:
        """Read the profiles from a table of items."""
        first = items.groupby("cluster", sort=True)[["weight", "lsat", "gpa"]].first()
        self.weight, self.lsat, self.gpa = (first[name].to_numpy(float) for name in first)
        self.stratum, self.strata = np.zeros(len(self.weight), int), ("",)
        metrics = {metric.name: metric for metric in admissions.metrics_of(self.columns)}
        self.bias, self.capability = metrics["admission_gap"], metrics["lsat_slope"]

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """See `World._sums`. Gaps and levels have a standard deviation of 0.1 between profiles."""
        w, x, z = self.weight, self.lsat - 37.0, self.gpa - 3.2
        gap = truth.bias + 0.1 * traits[0]
        level = 0.5 + truth.capability * x + 0.1 * traits[1]
        return np.column_stack([
            2 + 0 * w, 2 * w, w, 2 * w * level, w, w * (level + gap / 2), w, w,
            w * (level - gap / 2), w, 2 * w * x, 2 * w * x * x, 2 * w * x * level,
            2 * w * z, 2 * w * z * z, 2 * w * z * level,
        ])  # fmt: skip
