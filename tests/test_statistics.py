import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scruple.statistics.clusters import ClusterSums, degrees_of, jackknife, pooled_error
from scruple.statistics.metric import ratio, share_of_most_common
from scruple.statistics.runs import Statistic, over_runs, paired

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


def test_unequal_clusters_have_the_degrees_of_their_matrix():
    size = np.array([8.0, 8, 8, 40, 40, 120])
    w = size / size.sum()
    rest = np.eye(6) - np.outer(np.ones(6), w)
    matrix = np.diag((w / (1 - w)) ** 2) @ rest @ rest.T
    assert degrees_of(size) == pytest.approx(np.trace(matrix) ** 2 / np.trace(matrix @ matrix))
    assert degrees_of(np.full(25, 3.0)) == pytest.approx(24)
    assert degrees_of(size) < 5


def test_errors_of_parts_are_pooled():
    error, degrees = pooled_error(np.array([3.0, 6.0]), np.array([10.0, 20.0]))
    assert (error, degrees) == (3.0, pytest.approx(81 / (0.9 + 1.8)))
    assert pooled_error(np.array([0.0, 4.0]), np.array([10.0, 20.0])) == (2.0, 20.0)
    assert pooled_error(np.zeros(2), np.array([10.0, 20.0])) == (0.0, 30.0)


def run(values):
    totals = np.stack([np.ones(len(values)), values], axis=1)
    data = ClusterSums(("n", "k"), totals, np.zeros(len(values), int), ("s",))
    return Statistic(data, MEAN, np.ones(len(values)), len(values))


@pytest.mark.parametrize(("items", "seeds", "both"), [(0.3, 0.1, 0.1), (0.02, 0.2, 0.02)])
def test_intervals_over_training_runs_cover_the_recipe(items, seeds, both):
    """Five runs and 40 clusters, crossed; intervals of single runs would miss the recipe's mean."""
    rng = np.random.default_rng(6)
    hits, alone, n = 0, 0, 1000
    for _ in range(n):
        shared = rng.normal(0, items, 40)
        level = 0.3 + rng.normal(0, seeds, 5)
        runs = [run(mean + shared + rng.normal(0, both, 40)) for mean in level]
        whole, one = over_runs(runs), over_runs(runs[:1])
        hits += whole.low <= 0.3 <= whole.high
        alone += one.low <= 0.3 <= one.high
    assert 0.93 <= hits / n <= 0.985
    assert alone < hits
    assert one == runs[0].estimate()


def test_pairs_of_other_clusters_are_refused():
    with pytest.raises(ValueError, match="not of the same clusters"):
        paired(run(np.arange(4.0)), run(np.arange(5.0)))
