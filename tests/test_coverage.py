"""Intervals cover and verdicts err as often as they say: a short version of bench/coverage.py."""

import sys

import numpy as np
import pytest
from conftest import ROOT

from scruple.benchmarks import benchmark_module
from scruple.statistics.effects import Limits
from scruple.study.settings import Benchmark

sys.path.insert(0, str(ROOT / "bench"))
from coverage import Case, coverage, peeking, verdicts
from worlds import Admissions, Bbq, Winogender

N = 400


def own(kind):
    folder = ROOT / "data" / "items" / "en" / kind
    pattern = "*.jsonl" if kind == "bbq" else "*.?sv"
    files = sorted(folder.glob(pattern))
    return benchmark_module(kind).read(files, Benchmark(name=kind)).table


@pytest.fixture(
    scope="module",
    params=[
        ("bbq", Bbq, Limits(0.05, (0.4,), (0.05,)), 0.15, 0.75),
        ("winogender", Winogender, Limits(0.1, (0.1,), (0.2,)), 0.5, 0.9),
        ("admissions", Admissions, Limits(0.025, (0.002,), (0.002,)), 0.1, 0.008),
    ],
    ids=lambda param: param[0],
)
def case(request):
    kind, world, *rest = request.param
    return Case(world(own(kind)), *rest)


def test_intervals_cover(case):
    noise = 4 * np.sqrt(0.95 * 0.05 / N)
    for name, found in coverage(case, np.random.default_rng(0), N).items():
        assert found["share"] > 0.95 - noise, (name, found)
        # the world's occupations stay the same ones, and what they add to the mean is no error
        if name != "capability":
            assert found["share"] < 0.95 + noise, (name, found)


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_verdicts_are_seldom_wrong(case, effect):
    delta = case.limits.delta
    found = verdicts(case, np.random.default_rng(1), N, [effect * delta] * 4, [0.0] * 4)
    assert found["emerges"]["share"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / N)
    assert found["an end is wrong"]["share"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / N)


def test_a_collapse_is_no_emergence(case):
    gone = [0.0, 0.0, case.bias, case.bias]
    lost = [0.0, 0.0, 2 * case.limits.losses[0], 2 * case.limits.losses[0]]
    found = verdicts(case, np.random.default_rng(2), N, gone, lost)
    assert found["emerges"]["share"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / N)


def test_looking_twice_errs_more_often(case):
    found = peeking(case, np.random.default_rng(3), N)
    assert found["once"]["share"] <= found["also at half"]["share"]
