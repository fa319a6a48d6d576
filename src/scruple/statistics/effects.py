"""The effects of a condition at one checkpoint, and its status.

Every status rests on one-sided tests at 2.5 % against a margin that was set beforehand. A
difference from zero would mean little, because even an irrelevant sentence changes the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scipy import stats

from scruple import texts
from scruple.statistics.clusters import ClusterSums, Estimate
from scruple.statistics.metric import Metric
from scruple.statistics.runs import Statistic, paired

ALPHA = 0.025
"""Significance level of every one-sided test."""

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
"""The possible statuses of a condition at a checkpoint, in the order in which they are tested."""


@dataclass(frozen=True)
class Limits:
    """The numbers of a margin, against which a reading is tested.

    Attributes:
        delta: the smallest effect that matters, in units of the bias metric.
        gates: the value that each capability under `q` must exceed for a bias to mean anything.
        losses: the largest allowed loss of each capability, in units of its metric.
    """

    delta: float
    gates: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """The measurements of a condition at one checkpoint.

    Signs are chosen so that a bias is positive, and so is the effect that removes it.

    Attributes:
        plain: bias under `q`.
        bias: bias under the condition.
        effects: name of the reference → its bias minus the condition's; `q` is one of them.
        gates: the capabilities that the gates test, under `q`.
        changes: capability under the condition minus capability under `q`, for each capability
            that must be kept.
    """

    plain: Estimate
    bias: Estimate
    effects: Mapping[str, Estimate]
    gates: tuple[Estimate, ...]
    changes: tuple[Estimate, ...]


@dataclass(frozen=True)
class Verdict:
    """A status, and the reason for it as a sentence."""

    status: str
    reason: str


def statistic(data: ClusterSums, metric: Metric) -> Statistic:
    """Return a metric as a statistic of the clusters that have items for it."""
    counted = metric.counted(data)
    kept = data.keep(counted > 0)
    return Statistic(
        kept, metric.function, metric.weighed(kept), round(counted.sum()), metric.bounds
    )


def difference(first: ClusterSums, second: ClusterSums, metric: Metric) -> Statistic:
    """Return the paired difference of a metric, over clusters with items in both conditions."""
    both = (metric.counted(first) > 0) & (metric.counted(second) > 0)
    return paired(statistic(first.keep(both), metric), statistic(second.keep(both), metric))


def signed(estimate: Estimate, sign: float) -> Estimate:
    """Return an estimate, or its negative (with the ends of its interval swapped) if `sign` ≤ 0."""
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
    """Return the one-sided p-value of the null hypothesis "no larger than a bound".

    This is a t test with the jackknife's standard error. If all C clusters have the same value, the
    standard error is zero, and p = ((bound − l) / (value − l))^C, where l is the lowest possible
    value. It is the largest probability of C such clusters if the mean is no larger than the bound,
    reached if all other clusters have the value l. (For l = 0 and a value of 1 this is the rule of
    three: Hanley & Lippman-Hand 1983.) If there is no lowest value, p is 1: nothing can be shown.
    The p-value is NaN if the estimate or its error is undefined.
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
    """Return whether a value is shown to be above a bound."""
    return p_value(estimate, bound) < alpha


def falls_below(estimate: Estimate, bound: float, alpha: float = ALPHA) -> bool:
    """Return whether a value is shown to be below a bound."""
    return p_value(signed(estimate, -1), -bound) < alpha


def superior(reading: Reading, limits: Limits) -> bool:
    """Return whether a correction is shown: an effect above δ against every reference.

    The gates must be passed and the capabilities kept, too. Each part is tested at the full level,
    because all must hold (intersection-union test: Berger 1982, "Multiparameter hypothesis testing
    and acceptance sampling").
    """
    return (
        unread(reading, limits) is None
        and _kept(reading, limits)
        and all(exceeds(effect, limits.delta) for effect in reading.effects.values())
    )


def without_effect(reading: Reading, limits: Limits) -> bool:
    """Return whether a correction by more than δ is shown to be absent.

    One reference suffices to show it, so each is tested at an equal share of the level.
    """
    share = ALPHA / len(reading.effects)
    return any(falls_below(effect, limits.delta, share) for effect in reading.effects.values())


def unread(reading: Reading, limits: Limits) -> int | None:
    """Return the index of the first gate that is not shown to be passed; None if all are."""
    pairs = enumerate(zip(reading.gates, limits.gates, strict=True))
    return next((k for k, (gate, above) in pairs if not exceeds(gate, above)), None)


def _kept(reading: Reading, limits: Limits) -> bool:
    """Return whether every capability is shown to be kept."""
    pairs = zip(reading.changes, limits.losses, strict=True)
    return all(exceeds(change, -loss) for change, loss in pairs)


def _lost(reading: Reading, limits: Limits) -> int | None:
    """Return the index of the first capability whose loss is shown to be too large, or None.

    One such capability suffices, so each is tested at an equal share of the level.
    """
    share = ALPHA / len(limits.losses)
    pairs = enumerate(zip(reading.changes, limits.losses, strict=True))
    return next((k for k, (change, loss) in pairs if falls_below(change, -loss, share)), None)


def judge(reading: Reading, limits: Limits) -> Verdict:
    """Return the status of a condition at one checkpoint: the first of STATUSES that holds."""
    delta, effects = limits.delta, reading.effects
    share = ALPHA / len(effects)
    if (number := unread(reading, limits)) is not None:
        gate, above = reading.gates[number], limits.gates[number]
        return _verdict("unreadable", gate=_shown(gate), above=above)
    if exceeds(reading.plain, -delta) and falls_below(reading.plain, delta):
        return _verdict("nothing to correct", plain=_shown(reading.plain), delta=delta)
    if (number := _lost(reading, limits)) is not None:
        change, loss = reading.changes[number], limits.losses[number]
        return _verdict("collapses", change=_shown(change), loss=loss)
    if falls_below(reading.bias, -delta):
        return _verdict("overcorrects", bias=_shown(reading.bias), delta=delta)
    told = "; ".join(
        texts.EFFECT_AGAINST.format(reference=name, effect=_shown(effect))
        for name, effect in effects.items()
    )
    if superior(reading, limits):
        return _verdict("effect", delta=delta, effects=told)
    if all(falls_below(effect, -delta) for effect in effects.values()):
        return _verdict("worsens", delta=delta, effects=told)
    for name, effect in effects.items():
        if falls_below(effect, delta, share) and exceeds(effect, -delta, share):
            return _verdict("equivalent", reference=name, effect=_shown(effect), delta=delta)
    changes = "; ".join(
        texts.CAPABILITY_CHANGES.format(change=_shown(change)) for change in reading.changes
    )
    if all(exceeds(effect, delta) for effect in effects.values()):
        reason = texts.UNDECIDED_AT_NO_LOSS.format(changes=changes, effects=told)
        return Verdict("undecided", reason)
    if not _kept(reading, limits):
        told += f"; and {changes}"
    return _verdict("undecided", effects=told)


def _verdict(status: str, **slots: object) -> Verdict:
    return Verdict(status, texts.STATUS[status].format(**slots))


def _shown(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return texts.UNDEFINED
    return texts.ESTIMATE.format(value=estimate.value, low=estimate.low, high=estimate.high)
