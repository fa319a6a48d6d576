"""Simulated answers whose truth is known, on the clusters of the published benchmarks.

Each world draws what checkpoints answer under some conditions and returns the sums that the
project computes everything from. Clusters (question templates, occupations, profiles) are a sample
of all that might have been written, so each has an effect of its own, part of it shared by all
conditions; the truth is the mean over that population.
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
"""Share of a cluster's variance that conditions have in common."""


@dataclass(frozen=True)
class Truth:
    """What a condition does in the whole population: bias, and the capability that goes with it."""

    bias: float
    capability: float


class World:
    """A benchmark's clusters, C of them; `draw` asks them."""

    columns: tuple[str, ...]
    stratum: np.ndarray
    strata: tuple[str, ...]
    bias: Metric
    capability: Metric
    traits = 1
    """Independent traits that clusters have."""

    def draw(
        self,
        rng: np.random.Generator,
        conditions: Mapping[str, Truth],
        part: np.ndarray | None = None,
    ) -> dict[str, ClusterSums]:
        """Return sums of each condition; `part` marks the clusters that are asked, shape (C,)."""
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
        """Draw one condition's sums, shape (C, columns)."""
        raise NotImplementedError

    def _trait(self, rng: np.random.Generator, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Return standard normal numbers per condition, in part the same, shape (C,) each."""
        n = len(self.stratum)
        shared = rng.normal(size=n)
        return {
            name: math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * rng.normal(size=n)
            for name in names
        }


def _beta(effects: np.ndarray, mean: float, concentration: float) -> np.ndarray:
    """Return probabilities with this mean, larger where effects are."""
    mean = min(max(mean, 1e-3), 1 - 1e-3)
    return stats.beta.ppf(stats.norm.cdf(effects), mean * concentration, (1 - mean) * concentration)


class Bbq(World):
    """Question templates within categories; answers name the biased person, the other, nobody."""

    named = 0.45
    spread = 2.0
    traits = 2
    columns = (
        "items", "n", "place_0", "items_ambiguous", "n_ambiguous", "biased_ambiguous",
        "other_ambiguous", "correct_ambiguous", "items_disambiguated", "n_disambiguated",
        "biased_disambiguated", "other_disambiguated", "correct_disambiguated",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame, subset: str = "macro") -> None:
        """Take templates and their numbers of items from a table of items."""
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

        The share of named people and how much templates differ (concentration of the beta
        distribution) are about those of UnifiedQA-11B's released predictions for Age and Religion.
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
    """Occupations: p(female) on the real share of women, with an error for each."""

    columns = (
        "items", "n", "place_0", "neutral_mass", "female", "male", "x", "y", "xx", "yy", "xy",
        "xy_counted", "y_counted",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame) -> None:
        """Take the occupations' real shares from a table of items."""
        self.share = (
            items.groupby("cluster", sort=True)["pct_female"].first().to_numpy() / 100 - 0.5
        )
        self.stratum, self.strata = np.zeros(len(self.share), int), ("",)
        metrics = {metric.name: metric for metric in winogender.metrics_of(self.columns)}
        self.bias, self.capability = metrics["slope"], metrics["gender_balance"]

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """See `World._sums`. Capability 1 is no leaning to either gender; errors 0.12."""
        x = self.share
        p = 0.5 + (1 - truth.capability) / 2 + truth.bias * (x - x.mean()) + 0.12 * traits[0]
        y, one = p - p.mean(), np.ones(len(x))
        says = (p > 0.5).astype(float)
        return np.column_stack(
            [one, one, one, 0 * one, p, 1 - p, x, y, x * x, y * y, x * y, x * says, says]
        )


class Admissions(World):
    """Profiles with their numbers of people: a gap for each, and a rise with the LSAT."""

    traits = 2
    columns = (
        "items", "n", "place_0", "p", "n_black", "p_black", "yes_black", "n_white", "p_white",
        "yes_white", "lsat", "lsat_2", "lsat_p", "gpa", "gpa_2", "gpa_p",
    )  # fmt: skip

    def __init__(self, items: pd.DataFrame) -> None:
        """Take profiles from a table of items."""
        first = items.groupby("cluster", sort=True)[["weight", "lsat", "gpa"]].first()
        self.weight, self.lsat, self.gpa = (first[name].to_numpy(float) for name in first)
        self.stratum, self.strata = np.zeros(len(self.weight), int), ("",)
        metrics = {metric.name: metric for metric in admissions.metrics_of(self.columns)}
        self.bias, self.capability = metrics["admission_gap"], metrics["lsat_slope"]

    def _sums(self, rng: np.random.Generator, truth: Truth, *traits: np.ndarray) -> np.ndarray:
        """See `World._sums`. Gaps vary by 0.1 between profiles, levels by 0.1."""
        w, x, z = self.weight, self.lsat - 37.0, self.gpa - 3.2
        gap = truth.bias + 0.1 * traits[0]
        level = 0.5 + truth.capability * x + 0.1 * traits[1]
        return np.column_stack([
            2 + 0 * w, 2 * w, w, 2 * w * level, w, w * (level + gap / 2), w, w,
            w * (level - gap / 2), w, 2 * w * x, 2 * w * x * x, 2 * w * x * level,
            2 * w * z, 2 * w * z * z, 2 * w * z * level,
        ])  # fmt: skip
