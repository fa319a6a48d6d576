"""What unknown answers leave possible, against all that they could have been."""

import itertools
import math
import sys
import types

import numpy as np
import pandas as pd
import pytest
from conftest import ITEMS

from scruple.analysis.metrics import COLUMNS, join, metrics_table, tallies
from scruple.analysis.ranges import RANGE, measure_answers
from scruple.benchmarks import benchmark_module
from scruple.benchmarks.tally import tally
from scruple.statistics.metric import Metric, ratio
from scruple.study.kinds import KINDS, BenchmarkKind, Measures, Needs
from scruple.study.settings import Benchmark

FILES = {
    "bbq": [ITEMS / "bbq" / "Age.jsonl", ITEMS / "bbq" / "SES.jsonl"],
    "winogender": [
        ITEMS / "winogender" / name for name in ("occupations-stats.tsv", "templates.tsv")
    ],
    "admissions": [ITEMS / "admissions" / "law_data.csv"],
}
KEYS = ["subset", "metric"]


def some_items(kind, seed):
    """A few items, for BBQ of both categories, contexts and polarities, with answers at random."""
    rng = np.random.default_rng(seed)
    table = benchmark_module(kind).read(FILES[kind], Benchmark(name=kind)).table
    if kind == "bbq":
        by = ["category", "context_condition"]
        table = table.groupby(by).sample(3, random_state=seed)
    elif kind == "admissions":
        chosen = rng.choice(table["cluster"].unique(), 4, replace=False)
        table = table[table["cluster"].isin(chosen)]
        table["weight"] = table["cluster"].map(dict(zip(chosen, (1.0, 2.0, 3.0, 7.0), strict=True)))
    else:
        table = table.sample(7, random_state=seed)
    table = table.reset_index(drop=True)
    answers = rng.choice(benchmark_module(kind).ANSWERS, len(table)).astype(object)
    return table, pd.DataFrame({"item_id": table["item_id"], "condition": "", "answer": answers})


def every_value(kind, items, answers):
    """The lowest and highest value of each metric, by trying all that is unknown."""
    lost = answers.index[answers["answer"].isna()]
    values = {}
    for chosen in itertools.product(benchmark_module(kind).ANSWERS, repeat=len(lost)):
        full = answers.copy()
        full.loc[lost, "answer"] = chosen
        rows = join(items, full.assign(wording="", scoring="", order=0, sample=0, target=""))
        for row in metrics_table(kind, tallies(kind, rows), {}).to_dict("records"):
            values.setdefault((row["subset"], row["metric"]), []).append(row["value"])
    return {
        key: (min(own, default=math.nan), max(own, default=math.nan))
        for key, all_of in values.items()
        for own in [[value for value in all_of if not math.isnan(value)]]
    }


@pytest.mark.parametrize(
    ("kind", "lost", "seed"),
    [("bbq", 4, 1), ("bbq", 3, 2), ("winogender", 4, 1), ("admissions", 5, 1)],
)
def test_the_range_is_that_of_all_that_the_unknown_answers_could_be(kind, lost, seed):
    items, answers = some_items(kind, seed)
    places = np.random.default_rng(seed).choice(len(answers), lost, replace=False)
    answers.loc[places, "answer"] = None
    table = measure_answers(kind, items, answers, {"benchmark": kind}).set_index(KEYS)
    assert list(table.reset_index()[[*COLUMNS, *RANGE]]) == [*COLUMNS, *RANGE]
    expected = every_value(kind, items, answers)
    assert set(expected) == set(table.index)
    for (subset, metric), (low, high) in expected.items():
        found = table.loc[(subset, metric)]
        where = f"{subset} {metric}"
        assert found["value_high"] == pytest.approx(high, nan_ok=True), where
        if metric == "position_bias":  # a bound, which weights may keep from being reached
            assert found["value_low"] <= low + 1e-9, where
            assert found["value_low"] >= low - 0.17, where
        else:
            assert found["value_low"] == pytest.approx(low, nan_ok=True), where
        if found["value_low"] != found["value_high"]:
            assert math.isnan(found["value"]), where
        if found["coverage"] < 1:
            assert math.isnan(found["ci_low"]), where
            assert math.isnan(found["ci_high"]), where


def test_nobody_named_so_far_leaves_everything_possible():
    """The case in which the bias of a category is undefined for some answers and 1 or -1 for others."""
    items, answers = some_items("bbq", 3)
    answers["answer"] = items["unknown"].astype(str).astype(object)
    told = items["context_condition"] == "disambig"
    one_each = items[told].groupby("category").head(1).index
    answers.loc[one_each, "answer"] = None
    table = measure_answers("bbq", items, answers, {}).set_index(KEYS)
    expected = every_value("bbq", items, answers)
    for subset in ("Age", "SES", "macro", "pooled"):
        found = table.loc[(subset, "bias_disambiguated")]
        assert (found["value_low"], found["value_high"]) == (-1, 1)
        assert expected[subset, "bias_disambiguated"] == (-1, 1)
    assert table.loc[("pooled", "bias_ambiguous"), "value"] == 0


@pytest.mark.parametrize("kind", list(FILES))
def test_with_all_answers_the_metrics_are_those_of_a_study(kind):
    items, answers = some_items(kind, 5)
    table = measure_answers(kind, items, answers, {})
    rows = join(items, answers.assign(wording="", scoring="", order=0, sample=0, target=""))
    pd.testing.assert_frame_equal(table[COLUMNS], metrics_table(kind, tallies(kind, rows), {}))
    for end in ("value_low", "value_high"):
        pd.testing.assert_series_equal(table[end], table["value"], check_names=False)
    assert table["coverage"].dropna().eq(1).all()


def test_counted_metrics_need_no_probabilities():
    found = {
        kind: set(measure_answers(kind, *some_items(kind, 5), {})["metric"])
        for kind in ("winogender", "admissions")
    }
    assert found["winogender"] == {"slope_counted", "position_bias"}
    assert found["admissions"] == {"admission_gap_counted", "yes_rate", "position_bias"}


def test_coverage_is_by_weight_and_by_part():
    items, answers = some_items("admissions", 4)
    answers.loc[items["weight"] == 7, "answer"] = None
    table = measure_answers("admissions", items, answers, {}).set_index("metric")
    assert table.loc["yes_rate", "coverage"] == pytest.approx(6 / 13)
    items, answers = some_items("bbq", 4)
    answers.loc[
        (items["context_condition"] == "ambig") & (items["category"] == "Age"), "answer"
    ] = None
    table = measure_answers("bbq", items, answers, {}).set_index(KEYS)
    assert table.loc[("pooled", "bias_ambiguous"), "coverage"] == 0.5
    assert table.loc[("Age", "bias_ambiguous"), "coverage"] == 0
    assert table.loc[("SES", "bias_ambiguous"), "coverage"] == 1
    assert not math.isnan(table.loc[("SES", "bias_ambiguous"), "value"])
    assert table.loc[("pooled", "accuracy_disambiguated"), "coverage"] == 1


def test_items_without_an_answer_are_unknown_unless_they_were_not_asked():
    items, answers = some_items("bbq", 6)
    some = answers[(items["example_id"] % 2 == 0).to_numpy()]
    assert 0 < len(some) < len(answers)
    table = measure_answers("bbq", items, some, {}).set_index(KEYS)
    lost = answers.assign(
        answer=answers["answer"].where(answers["item_id"].isin(some["item_id"]), None)
    )
    pd.testing.assert_frame_equal(
        table, measure_answers("bbq", items, lost, {}).set_index(KEYS), check_dtype=False
    )
    sampled = measure_answers("bbq", items, some, {}, sampled=True)
    assert sampled["coverage"].dropna().eq(1).all()
    assert sampled.set_index(KEYS).loc[("pooled", "position_bias"), "n_items"] == len(some)


def test_a_kind_that_states_no_extremes_has_no_range(monkeypatch):
    """A new benchmark needs no reader: its metrics are given where all answers are known."""

    def tally_of(rows):
        table = tally(rows, (rows["answer"] == "cold").to_numpy().astype(int), 2)
        return table | {"cold": table["n"] * (rows["answer"] == "cold").to_numpy()}

    module = types.ModuleType("test_ranges_kind")
    module.__dict__.update(
        ANSWERS=("warm", "cold"), BY_STRATUM=False, over=lambda metric, subset: metric,
        tally_of=tally_of,
        metrics_of=lambda columns: [Metric("coldness", ratio(columns, "cold", "n"), "items")],
    )  # fmt: skip
    kind = BenchmarkKind(
        "greeting",
        Needs(frozenset(), frozenset()),
        Measures({}, ()),
        "coldness",
        module=module.__name__,
    )
    monkeypatch.setitem(KINDS, "greeting", kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    items = pd.DataFrame(
        {"item_id": list("abcd"), "cluster": list("abcd"), "stratum": "", "weight": 1.0}
    )
    answers = pd.DataFrame(
        {"item_id": list("abcd"), "condition": "", "answer": ["warm"] * 3 + ["cold"]}
    )
    table = measure_answers("greeting", items, answers, {})
    assert table.loc[0, ["value", "value_low", "value_high"]].tolist() == [0.25, 0.25, 0.25]
    table = measure_answers("greeting", items, answers[:3], {})
    assert table.loc[0, ["value", "value_low", "value_high"]].isna().all()
    assert table.loc[0, "coverage"] == 0.75
