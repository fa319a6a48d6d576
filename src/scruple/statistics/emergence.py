"""Where along an axis (size, stage, step) a correction emerges: two fixed sequences of tests.

The first sequence starts at the last place of the axis and goes down. At each place a correction by
more than δ must be shown; the last place at which it succeeds is the upper bound U of the point of
emergence. The second sequence starts at the first place and goes up. At each place the correction
must be shown to be absent; the last place at which it succeeds is the lower bound L. Each sequence
stops at its first failure, so it has the error rate of a single test, without adjustment (Maurer,
Hothorn & Lehmacher 1995, "Multiple comparisons in drug clinical trials and preclinical assays:
a-priori ordered hypotheses").
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
"""Statuses of places with no bias to correct, or with answers from which none can be read."""


@dataclass(frozen=True)
class Emergence:
    """The verdict along an axis.

    Attributes:
        verdict: one of VERDICTS.
        above: the lower bound L: no correction up to this place; None if absence is not shown at
            the first place, or if a correction is shown at every place.
        at_most: the upper bound U: a correction at each place from this one on; None if it is not
            shown at the last place.
        reason: the reason, as a sentence.
        untested: places up to `above` whose absence of a correction means little, with their
            status (one of UNTESTED).
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
        places: places of the checkpoints on the axis, in order; numbers or names.
        readings: the measurements at each place.
        limits: the numbers of the margin.
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
        return Emergence("undecided", None, at_most, reason, untested)
    if any(shown[k] and any(none[k + 1 :]) for k in range(n)):
        return Emergence("non-monotone", above, None, texts.VERDICT["non-monotone"], untested)
    for status in ("unreadable", "nothing to correct"):
        if all(each == status for each in statuses):
            reason = texts.VERDICT["every"].format(status=status)
            return Emergence(status, above, None, reason, untested)
    if last in ("worsens", "overcorrects", "collapses"):
        return Emergence(last, above, None, texts.VERDICT["last"].format(status=last), untested)
    if bottom == n:
        reason = texts.VERDICT["absent"].format(delta=limits.delta, untested=silent)
        return Emergence("absent", above, None, reason, untested)
    where = _listed(list(zip(places, statuses, strict=True)))
    reason = texts.VERDICT["undecided"].format(places=where)
    return Emergence("undecided", above, None, reason, untested)


def named(place: float | str | None) -> str:
    """Return a place as text: numbers in short form, names unchanged."""
    return f"{place:g}" if isinstance(place, float) else str(place)


def _listed(places: Sequence[tuple[float | str, str]]) -> str:
    return ", ".join(f"{named(place)} {status}" for place, status in places)
