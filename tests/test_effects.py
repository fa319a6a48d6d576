"""Statuses of effects and verdicts of emergence: hand-made readings, one rule each."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scruple.statistics.clusters import Estimate
from scruple.statistics.effects import (
    STATUSES,
    Limits,
    Reading,
    exceeds,
    falls_below,
    judge,
    p_value,
    signed,
    superior,
    without_effect,
)
from scruple.statistics.emergence import VERDICTS, emergence
from scruple.study.conditions import is_judged, references_of

LIMITS = Limits(delta=0.05, gates=(0.4,), losses=(0.05,))


def about(value, half=0.01, degrees=100):
    error = half / stats.t.ppf(0.975, degrees)
    return Estimate(value, value - half, value + half, error, degrees)


def reading(plain=0.3, bias=0.05, control=None, gate=0.8, change=0.0, half=0.01):
    effects = {"q": about(plain - bias, half)}
    if control is not None:
        effects["q+placebo"] = about(control - bias, half)
    return Reading(
        about(plain, half), about(bias, half), effects, (about(gate, half),), (about(change, half),)
    )


CASES = {
    "unreadable": reading(gate=0.40),
    "nothing to correct": reading(plain=0.02, bias=0.02),
    "collapses": reading(change=-0.3),
    "overcorrects": reading(bias=-0.2),
    "effect": reading(control=0.28),
    "worsens": reading(bias=0.5),
    "equivalent": reading(bias=0.29),
    "undecided": reading(bias=0.245, half=0.03),
}


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_case(status):
    verdict = judge(CASES[status], LIMITS)
    assert verdict.status == status
    assert len(verdict.reason) > 20


def test_what_the_placebo_does_too_is_no_effect():
    same = reading(bias=0.05, control=0.05)
    assert not superior(same, LIMITS)
    assert without_effect(same, LIMITS)
    assert judge(same, LIMITS).status == "equivalent"


def test_an_effect_needs_the_capability_to_be_shown_as_kept():
    unsure = reading(change=-0.045)
    assert not superior(unsure, LIMITS)
    assert judge(unsure, LIMITS).status == "undecided"
    assert "capability changes" in judge(unsure, LIMITS).reason


@pytest.mark.parametrize("undefined", ["plain", "bias", "gates", "changes", "effect"])
def test_the_undefined_shows_nothing(undefined):
    nan = Estimate(math.nan, math.nan, math.nan)
    parts = {name: getattr(CASES["effect"], name) for name in ("plain", "bias", "gates", "changes")}
    parts["effects"] = CASES["effect"].effects
    if undefined == "effect":
        parts["effects"] = {**parts["effects"], "q": nan}
    elif undefined != "bias":
        parts[undefined] = (nan,) if undefined in ("gates", "changes") else nan
    broken = Reading(**parts)
    if undefined in ("gates", "changes", "effect"):
        assert not superior(broken, LIMITS)
    assert judge(broken, LIMITS).status in ("undecided", "unreadable", "effect")
    assert not exceeds(nan, 0)
    assert not falls_below(nan, 0)
    assert math.isnan(p_value(nan, 0))


def test_p_values_are_those_of_the_t_distribution():
    estimate = about(0.08, 0.02, degrees=24)
    t = (0.08 - 0.05) / estimate.error
    assert p_value(estimate, 0.05) == pytest.approx(1 - stats.t.cdf(t, 24))
    assert exceeds(estimate, estimate.low - 1e-9)
    assert not exceeds(estimate, estimate.low + 1e-9)
    assert falls_below(estimate, estimate.high + 1e-9)
    assert signed(signed(estimate, -1), -1) == estimate


def test_where_all_clusters_say_the_same_their_number_decides():
    few, many = (Estimate(0.2, 0.2, 0.2, 0.0, n - 1, n, bounds=(-1.0, 1.0)) for n in (10, 100))
    assert p_value(few, 0.1) == pytest.approx((1.1 / 1.2) ** 10)
    assert not exceeds(few, 0.1)
    assert exceeds(many, 0.1)
    assert (p_value(many, 0.2), p_value(many, 0.3)) == (1, 1)
    assert p_value(signed(many, -1), -0.3) == pytest.approx((0.7 / 0.8) ** 100)
    assert p_value(Estimate(0.2, 0.2, 0.2, 0.0, 99, 100), 0.1) == 1  # without bounds: nothing
    lowest = Estimate(0.0, 0.0, 0.0, 0.0, 9, 10, bounds=(0.0, 1.0))
    assert p_value(lowest, -0.1) == 0  # nothing can be as low as the bound


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-1.5, 0.5), (0.0, 1.0)])
def test_unanimous_clusters_mislead_no_more_often_than_they_say(low, high):
    """Of all worlds whose mean is the bound, the worst: every cluster at one of two values."""
    bound, n = 0.1, 8
    share = (bound - low) / (high - low)  # of clusters at `high`, so that the mean is the bound
    claimed = p_value(Estimate(high, high, high, 0.0, n - 1, n, bounds=(low, high)), bound)
    assert claimed == pytest.approx(share**n)


YES, NO = reading(control=0.3), reading(bias=0.3, control=0.3)
MAYBE = reading(bias=0.245, control=0.3, half=0.03)
GATED, PARITY = reading(gate=0.3, bias=0.245, half=0.03), reading(0.02, 0.02)
CURVES = {
    "emerges": [NO, NO, YES, YES],
    "present throughout": [YES, YES],
    "absent": [NO, NO, NO],
    "nothing to correct": [PARITY, PARITY],
    "non-monotone": [NO, YES, NO],
    "worsens": [NO, reading(bias=0.5)],
    "overcorrects": [NO, reading(bias=-0.2)],
    "collapses": [NO, reading(change=-0.4, control=0.3)],
    "unreadable": [GATED, GATED],
    "undecided": [MAYBE, NO],
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_has_its_case(verdict):
    readings = CURVES[verdict]
    places = [10.0 ** (7 + k) for k in range(len(readings))]
    assert emergence(places, readings, LIMITS).verdict == verdict


def test_the_interval_is_bounded_from_both_sides():
    places = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = emergence(places, [NO, NO, MAYBE, YES, YES], LIMITS)
    assert (found.verdict, found.above, found.at_most) == ("emerges", 2.0, 4.0)
    assert "undecided at 3" in found.reason
    assert "of these" not in found.reason
    found = emergence(places, [PARITY, NO, MAYBE, YES, YES], LIMITS)
    assert "of these: 1 nothing to correct" in found.reason
    found = emergence(places, [MAYBE, NO, YES, YES, YES], LIMITS)
    assert (found.verdict, found.above, found.at_most) == ("undecided", None, 3.0)
    found = emergence(places, [NO, NO, YES, YES, MAYBE], LIMITS)
    assert (found.verdict, found.above, found.at_most) == ("undecided", 2.0, None)
    found = emergence(places, [NO, NO, YES, GATED, YES], LIMITS)
    assert found.at_most == 5.0


def test_no_noise_is_turned_into_emergence():
    """Five sizes without any effect: a false U needs one false test at 2.5 %, here by simulation."""
    rng = np.random.default_rng(1)
    wrong, n, error = 0, 4000, 0.02
    for _ in range(n):
        readings = []
        for shift in rng.normal(0, error, size=5):
            effect = Estimate(0.05 + shift, math.nan, math.nan, error, 10_000)
            readings.append(
                Reading(about(0.3), about(0.25), {"q": effect}, (about(0.8),), (about(0.0),))
            )
        wrong += emergence([1, 2, 3, 4, 5], readings, LIMITS).at_most is not None
    assert abs(wrong / n - 0.025) < 4 * math.sqrt(0.025 * 0.975 / n)


def with_second(case, gate=0.8, change=0.0, half=0.01):
    """A reading with a second capability, which must exceed 0.5 and may lose 0.1."""
    second = replace(
        case,
        gates=(*case.gates, about(gate, half)),
        changes=(*case.changes, about(change, half)),
    )
    return second, Limits(LIMITS.delta, (*LIMITS.gates, 0.5), (*LIMITS.losses, 0.1))


def test_of_several_gates_and_capabilities_all_must_hold():
    effect = CASES["effect"]
    assert judge(*with_second(effect)).status == "effect"
    unread, limits = with_second(effect, gate=0.5)
    assert judge(unread, limits).status == "unreadable"
    assert "0.500" in judge(unread, limits).reason
    assert not superior(unread, limits)
    lost, limits = with_second(effect, change=-0.3)
    assert judge(lost, limits).status == "collapses"
    assert "a loss of more than 0.1" in judge(lost, limits).reason
    unsure, limits = with_second(effect, change=-0.1)
    assert judge(unsure, limits).status == "undecided"
    assert judge(unsure, limits).reason.count("capability changes") == 2
    # one loss suffices, so each is tested at its share: what is shown alone may not be shown twice
    t = stats.t.ppf(1 - 0.025 / 2 - 1e-4, effect.changes[0].degrees)
    near = about(-LIMITS.losses[0] - 1e-9, 0.01)
    edge = replace(near, value=-LIMITS.losses[0] - (t - 0.02) * near.error)
    assert judge(replace(effect, changes=(edge,)), LIMITS).status == "collapses"
    twice, limits = with_second(replace(effect, changes=(edge,)))
    assert judge(twice, limits).status != "collapses"


def test_references_are_q_and_the_controls_that_match():
    assert references_of("q+if", False) == ("q", "q+placebo")
    assert references_of("q+if+cot", True) == ("q", "q+cot")
    assert references_of("q+placebo", False) == references_of("q+cot", True) == ("q",)
    judged = [name for name in ("q", "q+match", "q+follow", "q+if", "q+cot") if is_judged(name)]
    assert judged == ["q+if", "q+cot"]
