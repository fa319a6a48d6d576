"""What must hold of every metric, whatever the answers: checked on drawn ones."""

import numpy as np
import pandas as pd
import pytest
from conftest import ITEMS
from hypothesis import given, settings
from hypothesis import strategies as st

from scruple.analysis.metrics import metrics_table, tallies
from scruple.analysis.sums import select, sums_table
from scruple.benchmarks import admissions, bbq, benchmark_module, winogender
from scruple.benchmarks.bbq_files import read_items
from scruple.benchmarks.tally import sum_up
from scruple.statistics.effects import Limits, Reading, difference, judge, statistic
from scruple.study.settings import Benchmark

KEYS = {"condition": "q", "wording": "", "scoring": "letter", "order": 0, "sample": 0, "target": ""}
BBQ = read_items(sorted((ITEMS / "bbq").glob("*.jsonl"))).table
WINOGENDER = winogender.read(
    [ITEMS / "winogender" / name for name in ("occupations-stats.tsv", "templates.tsv")],
    Benchmark(name="winogender"),
).table
ADMISSIONS = admissions.read(
    [ITEMS / "admissions" / "law_data.csv"], Benchmark(name="admissions")
).table
TABLES = {"bbq": BBQ, "winogender": WINOGENDER, "admissions": ADMISSIONS}


def answers(kind, seed, lean=0.0):
    """Responses drawn at random, joined with their items."""
    rng = np.random.default_rng(seed)
    items, names = TABLES[kind], benchmark_module(kind).ANSWERS
    logits = rng.normal(0, 1.5, size=(len(items), len(names)))
    logits[:, 0] += lean
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return items.assign(
        **KEYS, **{f"logprob_{name}": np.log(0.9 * p[:, k]) for k, name in enumerate(names)},
        answer=[names[k] for k in p.argmax(axis=1)], valid_mass=0.9,
    )  # fmt: skip


def values(kind, responses):
    table = metrics_table(kind, tallies(kind, responses), {})
    return table.set_index(["subset", "metric"])["value"].sort_index()


@pytest.mark.parametrize("kind", list(TABLES))
@given(seed=st.integers(0, 2**20))
@settings(max_examples=5, deadline=None)
def test_the_order_of_rows_is_nothing(kind, seed):
    rows = answers(kind, seed)
    shuffled = rows.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(values(kind, rows), values(kind, shuffled), rtol=1e-9)


@given(seed=st.integers(0, 2**20))
@settings(max_examples=5, deadline=None)
def test_stereotypes_turned_round_turn_the_sign(seed):
    rows = answers("bbq", seed)
    other = 3 - rows["biased"] - rows["unknown"]
    plain, turned = values("bbq", rows), values("bbq", rows.assign(biased=other))
    for (subset, metric), value in plain.items():
        if metric.startswith("bias"):
            assert turned[subset, metric] == pytest.approx(-value)
        elif metric.startswith("accuracy"):
            assert turned[subset, metric] == value


@given(seed=st.integers(0, 2**20))
@settings(max_examples=5, deadline=None)
def test_races_exchanged_turn_the_gap(seed):
    rows = answers("admissions", seed)
    races = rows["race"].map({"black": "white", "white": "black"})
    plain = values("admissions", rows)
    turned = values("admissions", rows.assign(race=races))
    assert turned["", "admission_gap"] == pytest.approx(-plain["", "admission_gap"])
    assert turned["", "lsat_slope"] == pytest.approx(plain["", "lsat_slope"])


@pytest.mark.parametrize("kind", list(TABLES))
def test_repeating_items_in_new_clusters_is_more_items_of_the_same(kind):
    """Each item twice as two samples is itself; its weight doubled everywhere is nothing."""
    rows = answers(kind, 3)
    twice = pd.concat([rows, rows.assign(sample=1)])
    pd.testing.assert_series_equal(values(kind, rows), values(kind, twice), rtol=1e-9)
    heavy = rows.assign(weight=rows["weight"] * 2)
    pd.testing.assert_series_equal(values(kind, rows), values(kind, heavy), rtol=1e-9)


@pytest.mark.parametrize("kind", list(TABLES))
@pytest.mark.parametrize("shards", [2, 5])
def test_shards_give_the_table_of_the_whole(kind, shards):
    rows = answers(kind, 4)
    clusters = sorted(rows["cluster"].unique())
    parts = [
        sums_table(tallies(kind, rows[rows["cluster"].isin(clusters[k::shards])]))
        for k in range(shards)
    ]
    whole, gathered = sums_table(tallies(kind, rows)), pd.concat(parts)
    order = ["stratum", "cluster"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order).reset_index(drop=True),
        gathered.sort_values(order).reset_index(drop=True)[list(whole)],
        rtol=1e-12,
    )
    module = benchmark_module(kind)
    one, other = (select(table, "q", "", "letter") for table in (whole, gathered))
    for metric in module.metrics_of(one.columns):
        first, second = (statistic(sums, metric).estimate() for sums in (one, other))
        assert (first.value, first.low) == pytest.approx((second.value, second.low), nan_ok=True)


def test_always_the_same_letter_is_a_collapse_and_no_correction():
    good = answers("bbq", 5)
    good["answer"] = good["biased"].where(good["context_condition"] == "ambig", good["label"])
    good["answer"] = good["answer"].astype(str)
    letter = good.assign(answer="0")
    plain, asked = (sum_up(bbq.tally_of(rows)) for rows in (good, letter))
    metrics = {metric.name: metric for metric in bbq.metrics_of(plain.columns)}
    bias, accuracy = metrics["bias_ambiguous"], metrics["accuracy_disambiguated"]
    reading = Reading(
        statistic(plain, bias).estimate(), statistic(asked, bias).estimate(),
        {"q": difference(plain, asked, bias).estimate()}, (statistic(plain, accuracy).estimate(),),
        (difference(asked, plain, accuracy).estimate(),),
    )  # fmt: skip
    assert reading.effects["q"].value > 0.9
    assert judge(reading, Limits(0.05, (0.4,), (0.05,))).status == "collapses"
