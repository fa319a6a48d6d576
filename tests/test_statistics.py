import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scruple.benchmarks.tally import ratio, share_of_most_common
from scruple.statistics.clusters import ClusterSums, jackknife

COLUMNS = ["n", "k"]
MEAN = ratio(COLUMNS, "k", "n")


def sums(values, clusters, strata=None):
    table = pd.DataFrame({"cluster": clusters, "stratum": strata or ["s"] * len(values)})
    return ClusterSums.of(table.assign(n=1.0, k=values), COLUMNS)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=30))
def test_of_single_items_it_is_the_t_interval(values):
    """For a mean of independent items the jackknife is the textbook interval."""
    got = jackknife(sums(values, [f"{i:03d}" for i in range(len(values))]), MEAN)
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    assert got.value == pytest.approx(np.mean(values), abs=1e-9)
    assert got.high - got.value == pytest.approx(reach, abs=1e-6)
    assert got.value - got.low == pytest.approx(reach, abs=1e-6)


def test_strata_are_resampled_apart():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 40), rng.normal(100, 1, 40)])
    clusters = [f"{i:03d}" for i in range(80)]
    apart = jackknife(sums(values, clusters, ["a"] * 40 + ["b"] * 40), MEAN)
    mixed = jackknife(sums(values, clusters), MEAN)
    assert apart.high - apart.low < 0.1 * (mixed.high - mixed.low)


def test_one_cluster_has_no_interval():
    got = jackknife(sums([1.0, 0.0], ["x", "x"]), MEAN)
    assert got.value == 0.5
    assert np.isnan(got.low)
    assert np.isnan(got.high)


def test_undefined_stays_undefined():
    got = jackknife(sums([1.0, 1.0], ["x", "y"]), lambda s: np.full(s.shape[:-2], np.nan))
    assert np.isnan([got.value, got.low, got.high]).all()


def test_share_of_most_common():
    function = share_of_most_common(["a", "b"], ["a", "b"])
    assert function(np.array([[3.0, 1.0], [0.0, 4.0]])) == pytest.approx(5 / 8)


def test_intervals_cover_with_few_unequal_clusters():
    """2,000 simulated studies with 25 unequal clusters: 95 % intervals cover the truth.

    The Monte Carlo error of the rate is 0.5 points; percentile intervals would cover about 90 %.
    """
    rng = np.random.default_rng(11)
    sizes = np.r_[np.full(15, 8), np.full(8, 40), np.full(2, 120)]
    hits = 0
    for _ in range(2000):
        level = rng.normal(0.3, 0.15, 25)
        totals = np.stack([sizes, sizes * level + rng.normal(0, np.sqrt(sizes) * 0.4)], axis=1)
        data = ClusterSums(("n", "k"), totals, np.zeros(25, int), ("s",))
        got = jackknife(data, MEAN)
        hits += got.low <= 0.3 <= got.high
    assert 0.925 <= hits / 2000 <= 0.975
