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

from scruple import texts
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


UNTESTED = ("unreadable", "nothing to correct", "collapses")
"""Statuses of places where there was nothing that could have been corrected, or nothing to read."""


@dataclass(frozen=True)
class Emergence:
    """What can be said of a curve.

    Attributes:
        verdict: one of VERDICTS.
        above: L: at this place there is none yet; None if that is shown nowhere.
        at_most: U: from this place on there is one; None if that is shown nowhere.
        reason: why, in a sentence.
        untested: places whose absence of a correction says little, with their status: of those
            that the verdict calls absent.
    """

    verdict: str
    above: float | str | None
    at_most: float | str | None
    reason: str
    untested: tuple[tuple[float | str, str], ...] = ()


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
    untested = tuple(
        (place, status)
        for place, status in zip(places[:bottom], statuses, strict=False)
        if status in UNTESTED
    )
    silent = texts.UNTESTED.format(places=_listed(untested)) if untested else ""
    if top == n:
        return Emergence("present throughout", None, at_most, texts.VERDICT["present throughout"])
    if top and bottom:
        left = [named(place) for place in places[bottom : n - top]]
        between = texts.BETWEEN.format(places=", ".join(left)) if left else ""
        reason = texts.VERDICT["emerges"].format(
            above=named(above), at_most=named(at_most), between=between, untested=silent
        )
        return Emergence("emerges", above, at_most, reason, untested)
    if top:
        reason = texts.VERDICT["only from above"].format(at_most=named(at_most))
        return Emergence("undecided", None, at_most, reason)
    if any(shown[k] and any(none[k + 1 :]) for k in range(n)):
        return Emergence("non-monotone", above, None, texts.VERDICT["non-monotone"])
    for status in ("unreadable", "nothing to correct"):
        if all(each == status for each in statuses):
            return Emergence(status, above, None, texts.VERDICT["every"].format(status=status))
    if last in ("worsens", "overcorrects", "collapses"):
        return Emergence(last, above, None, texts.VERDICT["last"].format(status=last))
    if bottom == n:
        reason = texts.VERDICT["absent"].format(delta=limits.delta, untested=silent)
        return Emergence("absent", above, None, reason, untested)
    where = _listed(list(zip(places, statuses, strict=True)))
    return Emergence("undecided", above, None, texts.VERDICT["undecided"].format(places=where))


def named(place: float | str | None) -> str:
    """Write a place: a number shortly, a name as it is."""
    return f"{place:g}" if isinstance(place, float) else str(place)


def _listed(places: Sequence[tuple[float | str, str]]) -> str:
    return ", ".join(f"{named(place)} {status}" for place, status in places)
