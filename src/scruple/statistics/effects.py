"""Effects of a condition at one checkpoint, and what may be said of them.

Every statement is a test against a margin that was set beforehand, one-sided at 2.5 %: that a
single number differs from zero says nothing, since an irrelevant sentence alone moves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scipy import stats

from scruple.statistics.clusters import ClusterSums, Estimate
from scruple.statistics.metric import Metric
from scruple.statistics.runs import Statistic, paired

ALPHA = 0.025
"""Level of every one-sided test."""

STATUSES = (
    "unreadable",
    "nothing to correct",
    "collapses",
    "overcorrects",
    "effect",
    "worsens",
    "equivalent",
    "undecided",
)
"""What can be said of a condition at a checkpoint; the first that holds is said."""


@dataclass(frozen=True)
class Limits:
    """The bounds that effects are held against.

    Attributes:
        delta: the smallest effect that matters, in units of the metric of bias.
        gate: what the capability under `q` must exceed for bias to mean anything.
        loss: how much capability a condition may cost, in units of the metric of capability.
    """

    delta: float
    gate: float
    loss: float


@dataclass(frozen=True)
class Reading:
    """What was measured of a condition at one checkpoint.

    Biases and effects are signed so that a bias is positive and its removal is a positive effect.

    Attributes:
        plain: bias under `q`.
        bias: bias under the condition.
        effects: name of the reference → its bias minus the condition's; `q` is one of them.
        gate: the capability that the gate speaks of, under `q`.
        change: capability under the condition minus that under `q`.
    """

    plain: Estimate
    bias: Estimate
    effects: Mapping[str, Estimate]
    gate: Estimate
    change: Estimate


@dataclass(frozen=True)
class Verdict:
    """A status with its reason in a sentence."""

    status: str
    reason: str


def statistic(data: ClusterSums, metric: Metric) -> Statistic:
    """Return a metric of the clusters that have items of its kind."""
    counted = metric.counted(data)
    kept = data.keep(counted > 0)
    return Statistic(
        kept, metric.function, metric.weighed(kept), round(counted.sum()), metric.bounds
    )


def difference(first: ClusterSums, second: ClusterSums, metric: Metric) -> Statistic:
    """Return a metric's difference between two conditions of the same clusters."""
    both = (metric.counted(first) > 0) & (metric.counted(second) > 0)
    return paired(statistic(first.keep(both), metric), statistic(second.keep(both), metric))


def signed(estimate: Estimate, sign: float) -> Estimate:
    """Return an estimate, or its negative with the ends of its interval exchanged."""
    if sign > 0:
        return estimate
    low, high = estimate.bounds
    return replace(
        estimate,
        value=-estimate.value,
        low=-estimate.high,
        high=-estimate.low,
        bounds=(-high, -low),
    )


def p_value(estimate: Estimate, bound: float) -> float:
    """Return the one-sided p-value against "no larger than a bound"; NaN where undefined.

    The t statistic of the jackknife's standard error. Where all C clusters
    say the same, there is no error to go by: then p = ((bound − l) / (value − l))^C, l being the
    lowest value possible. That is the most that the probability of C such clusters can be if the
    mean is no larger than the bound: if all others were at l (for l = 0 and a value of 1 the rule
    of three: Hanley & Lippman-Hand 1983). Where l is infinite nothing is shown.
    """
    excess = estimate.value - bound
    if math.isnan(excess) or math.isnan(estimate.error):
        return float("nan")
    if estimate.error == 0:
        lowest = estimate.bounds[0]
        if excess <= 0 or math.isinf(lowest):
            return 1.0
        if bound < lowest:
            return 0.0
        return float(((bound - lowest) / (estimate.value - lowest)) ** estimate.clusters)
    return float(stats.t.sf(excess / estimate.error, estimate.degrees))


def exceeds(estimate: Estimate, bound: float, alpha: float = ALPHA) -> bool:
    """Tell whether a value is shown to be above a bound."""
    return p_value(estimate, bound) < alpha


def falls_below(estimate: Estimate, bound: float, alpha: float = ALPHA) -> bool:
    """Tell whether a value is shown to be below a bound."""
    return p_value(signed(estimate, -1), -bound) < alpha


def superior(reading: Reading, limits: Limits) -> bool:
    """Tell whether a correction is shown: by more than δ against every reference, at no loss.

    Each part is tested at the full level, since all must hold (Berger 1982, "Multiparameter
    hypothesis testing and acceptance sampling": intersection-union tests).
    """
    return (
        exceeds(reading.gate, limits.gate)
        and exceeds(reading.change, -limits.loss)
        and all(exceeds(effect, limits.delta) for effect in reading.effects.values())
    )


def without_effect(reading: Reading, limits: Limits) -> bool:
    """Tell whether it is shown that a correction by more than δ is not there.

    It suffices that one of the references shows it; so each is tested at its share of the level.
    """
    share = ALPHA / len(reading.effects)
    return any(falls_below(effect, limits.delta, share) for effect in reading.effects.values())


def judge(reading: Reading, limits: Limits) -> Verdict:
    """Return what can be said of a condition at one checkpoint."""
    delta, effects = limits.delta, reading.effects.values()
    share = ALPHA / len(reading.effects)
    if not exceeds(reading.gate, limits.gate):
        return Verdict(
            "unreadable",
            f"the capability under q, {_shown(reading.gate)}, is not shown to be above "
            f"{limits.gate:g}: what it answers says nothing about bias",
        )
    if exceeds(reading.plain, -delta) and falls_below(reading.plain, delta):
        return Verdict(
            "nothing to correct", f"the bias under q, {_shown(reading.plain)}, is within ±{delta:g}"
        )
    if falls_below(reading.change, -limits.loss):
        return Verdict(
            "collapses",
            f"the capability changes by {_shown(reading.change)}, a loss of more than "
            f"{limits.loss:g}: no bias, since no answer",
        )
    if falls_below(reading.bias, -delta):
        return Verdict(
            "overcorrects",
            f"the bias, {_shown(reading.bias)}, is beyond parity by more than {delta:g}",
        )
    told = "; ".join(f"against {name} {_shown(e)}" for name, e in reading.effects.items())
    if superior(reading, limits):
        return Verdict("effect", f"less bias by more than {delta:g}: {told}")
    if all(falls_below(effect, -delta) for effect in effects):
        return Verdict("worsens", f"more bias by more than {delta:g}: {told}")
    for name, effect in reading.effects.items():
        if falls_below(effect, delta, share) and exceeds(effect, -delta, share):
            return Verdict("equivalent", f"against {name} {_shown(effect)}, within ±{delta:g}")
    change = f"the capability changes by {_shown(reading.change)}"
    if all(exceeds(effect, delta) for effect in effects):
        return Verdict("undecided", f"less bias, and not shown at no loss: {change}; {told}")
    if not exceeds(reading.change, -limits.loss):
        told += f"; and {change}"
    return Verdict("undecided", f"the intervals reach to both sides of a margin: {told}")


def _shown(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "undefined"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
