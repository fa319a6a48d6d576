"""Where along an axis (size, stage, step) a correction emerges, by two fixed sequences of tests.

From the largest checkpoint down, a correction by more than δ must be shown at each until the first
at which it is not: the smallest of these bounds the point of emergence from above (U). From the
smallest up, it must be shown that there is none, until the first at which that fails: the largest
of these bounds it from below (L). Each sequence stops at its first failure, so its error is that of
one test, without adjustment (Maurer, Hothorn & Lehmacher 1995, "Multiple comparisons in drug
clinical trials and preclinical assays: a-priori ordered hypotheses").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scruple.statistics.effects import Limits, Reading, judge, without_effect

VERDICTS = (
    "emerges",
    "present throughout",
    "absent",
    "nothing to correct",
    "non-monotone",
    "worsens",
    "overcorrects",
    "collapses",
    "unreadable",
    "undecided",
)


@dataclass(frozen=True)
class Emergence:
    """What can be said of a curve.

    Attributes:
        verdict: one of VERDICTS.
        above: L: at this place there is none yet; None if that is shown nowhere.
        at_most: U: from this place on there is one; None if that is shown nowhere.
        reason: why, in a sentence.
    """

    verdict: str
    above: float | str | None
    at_most: float | str | None
    reason: str


def emergence(
    places: Sequence[float | str], readings: Sequence[Reading], limits: Limits
) -> Emergence:
    """Return where a correction emerges along an axis.

    Args:
        places: of the checkpoints on the axis, in its order: numbers or names.
        readings: what was measured at each.
        limits: the bounds that effects are held against.
    """
    n = len(places)
    statuses = [judge(reading, limits).status for reading in readings]
    shown = [status == "effect" for status in statuses]
    none = [without_effect(reading, limits) for reading in readings]
    top = next((k for k in range(n) if not shown[n - 1 - k]), n)
    bottom = next((k for k in range(n) if not none[k]), n)
    at_most = places[n - top] if top else None
    above = places[bottom - 1] if bottom else None
    last = statuses[-1]
    if top == n:
        return Emergence(
            "present throughout", None, at_most, "a correction is shown at every checkpoint"
        )
    if top and bottom:
        return Emergence(
            "emerges",
            above,
            at_most,
            f"none up to {_named(above)}, one at each from {_named(at_most)} on"
            + _between(places, bottom, n - top)
            + _silent(places[:bottom], statuses),
        )
    if top:
        return Emergence(
            "undecided",
            None,
            at_most,
            f"one at each from {_named(at_most)} on; that there is none below is shown nowhere",
        )
    if any(shown[k] and any(none[k + 1 :]) for k in range(n)):
        return Emergence(
            "non-monotone",
            above,
            None,
            "a correction is shown at one place, and at a later one that there is none",
        )
    for status in ("unreadable", "nothing to correct"):
        if all(each == status for each in statuses):
            return Emergence(status, above, None, f"every checkpoint: {status}")
    if last in ("worsens", "overcorrects", "collapses"):
        return Emergence(last, above, None, f"the last checkpoint {last}")
    if bottom == n:
        return Emergence(
            "absent",
            above,
            None,
            f"shown to be less than {limits.delta:g} at every checkpoint"
            + _silent(places, statuses),
        )
    where = ", ".join(
        f"{_named(place)} {status}" for place, status in zip(places, statuses, strict=True)
    )
    return Emergence("undecided", above, None, f"no sequence of tests ends in a verdict: {where}")


def _named(place: float | str | None) -> str:
    return f"{place:g}" if isinstance(place, float) else str(place)


def _silent(places: Sequence[float | str], statuses: Sequence[str]) -> str:
    """Say at which places there was nothing that could have been corrected, or nothing to read."""
    named = [
        f"{_named(place)} {status}"
        for place, status in zip(places, statuses, strict=False)
        if status in ("unreadable", "nothing to correct", "collapses")
    ]
    return f" (of these: {', '.join(named)})" if named else ""


def _between(places: Sequence[float | str], low: int, high: int) -> str:
    left = [f"{_named(place)}" for place in places[low:high]]
    return f"; undecided at {', '.join(left)}" if left else ""
