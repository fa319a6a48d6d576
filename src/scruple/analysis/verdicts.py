"""Readings → the table of effects and the table of emergence."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from scruple import texts
from scruple.analysis.axes import Axis, Place, axes_of
from scruple.analysis.measurements import Measured, limits_of
from scruple.statistics.effects import judge, p_value
from scruple.statistics.emergence import emergence, named
from scruple.study.conditions import CONTROLS
from scruple.study.declaration import Timing
from scruple.study.model import Study
from scruple.study.unfinished import Unfinished

EFFECTS = [
    "family", "checkpoint", "runs", "params", "stage", "step", "benchmark", "subset",
    "condition", "wording", "scoring", "metric", "reference", "effect", "ci_low", "ci_high",
    "standard_error", "degrees", "n_items", "n_clusters", "n_strata", "margin", "p_value",
    "p_adjusted", "status", "primary", "reason", "language",
]  # fmt: skip
EMERGENCE = [
    "family", "axis", "stage", "benchmark", "condition", "wording", "scoring", "metric", "margin",
    "reference", "runs", "verdict", "above", "at_most", "primary", "verdicts", "declared",
    "reason", "axis_kind", "axis_at", "references", "untested", "unfinished", "declared_late",
    "language",
]  # fmt: skip


def effects_table(study: Study, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per checkpoint × benchmark × condition × specification × reference.

    Each training run of a recipe has a row of its own. One more row covers them together and lists
    all their names. `p_adjusted` is Holm-adjusted over the rows of one wording, scoring and metric.
    """
    rows = []
    for one in found:
        limits = limits_of(one.margin)
        verdict = judge(one.reading, limits)
        for reference, effect in one.reading.effects.items():
            rows.append(
                {
                    **_place(study, one),
                    "subset": one.margin.subset,
                    "reference": reference,
                    "effect": effect.value,
                    "ci_low": effect.low,
                    "ci_high": effect.high,
                    "margin": limits.delta,
                    "standard_error": effect.error,
                    "degrees": effect.degrees,
                    "n_items": effect.items,
                    "n_strata": effect.strata,
                    "n_clusters": effect.clusters,
                    "p_value": p_value(effect, limits.delta),
                    "status": verdict.status,
                    "reason": verdict.reason,
                }
            )
    table = _table(rows, EFFECTS)
    table["p_adjusted"] = np.nan
    families = table["runs"] > 1  # families of tests: rows of recipes form one of their own
    for _, group in table.groupby([families, "wording", "scoring", "metric"], dropna=False):
        tested = group["p_value"].dropna()
        if len(tested):
            table.loc[tested.index, "p_adjusted"] = multipletests(tested, method="holm")[1]
    return table.round(12)


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Return rows as a table; `primary` is boolean even if there are no rows."""
    return pd.DataFrame(rows, columns=columns).astype({"primary": bool})


def _place(study: Study, one: Measured) -> dict[str, Any]:
    checkpoint = study.checkpoint(one.family, one.checkpoints[0])
    return {
        "family": one.family,
        "checkpoint": " ".join(one.checkpoints),
        "runs": len(one.checkpoints),
        "params": checkpoint.params,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "benchmark": one.benchmark.name,
        "condition": one.condition,
        "wording": one.spec.wording,
        "scoring": one.spec.scoring,
        "metric": one.spec.metric,
        "primary": one.spec.primary,
        "language": study.language_of(one.benchmark),
    }


def emergence_table(
    study: Study,
    found: Sequence[Measured],
    declared: Timing,
    unfinished: Unfinished = MappingProxyType({}),
) -> pd.DataFrame:
    """Return where a correction emerges, per family, axis, benchmark, condition, specification.

    `runs` is the smallest number of training runs per recipe behind the verdict; with 1, it holds
    for these checkpoints only. `verdicts` is the number of primary verdicts on primary rows, and
    the number of all other verdicts on the other rows.

    Args:
        study: the study.
        found: all readings.
        declared: when the margins were declared.
        unfinished: checkpoints and benchmarks without responses; the reasons name them.
    """
    rows = []
    for curve in curves_of(study, found):
        measured = list(curve.points.values())
        first = measured[0]
        lacking = [
            name
            for names in curve.axis.places.values()
            for name in names
            if first.benchmark.name in unfinished.get(f"{first.family}/{name}", ())
        ]
        missing = texts.NOT_FINISHED.format(checkpoints=", ".join(lacking)) if lacking else ""
        references = list(first.reading.effects)
        alone = len(references) == 1 and first.condition not in CONTROLS
        result = emergence(
            list(curve.points), [one.reading for one in measured], limits_of(first.margin)
        )
        rows.append(
            {
                "family": first.family,
                "axis": curve.axis.name,
                "stage": curve.axis.stage,
                "benchmark": first.benchmark.name,
                "condition": first.condition,
                "wording": first.spec.wording,
                "scoring": first.spec.scoring,
                "metric": first.spec.metric,
                "runs": min(len(one.checkpoints) for one in measured),
                "margin": first.margin.delta,
                "reference": " and ".join(references),
                "verdict": result.verdict,
                "above": result.above,
                "at_most": result.at_most,
                "primary": first.spec.primary,
                "declared": str(declared),
                "reason": result.reason + (texts.NO_CONTROL if alone else "") + missing,
                "axis_kind": curve.axis.kind,
                "axis_at": curve.axis.at,
                "references": " ".join(references),
                "untested": write_places(result.untested),
                "unfinished": " ".join(lacking),
                "declared_late": declared.late,
                "language": study.language_of(first.benchmark),
            }
        )
    table = _table(rows, EMERGENCE)
    table["axis_at"] = table["axis_at"].astype("Int64")  # whole numbers, or empty
    table["verdicts"] = table.groupby("primary")["primary"].transform("size")
    return table


def write_places(places: Sequence[tuple[Place, str]]) -> str:
    """Format places and statuses as a cell, such as `1604: nothing to correct; 3592: unreadable`.

    Neither stage names nor statuses contain a colon or a semicolon.
    """
    return "; ".join(f"{named(place)}: {status}" for place, status in places)


def read_places(cell: str) -> list[tuple[str, str]]:
    """Parse a cell that `write_places` wrote into (place, status) pairs."""
    pairs = (part.split(": ", 1) for part in cell.split("; ") if part)
    return [(place, status) for place, status in pairs]


@dataclass(frozen=True)
class Curve:
    """A condition measured along an axis under one specification, at two or more places."""

    axis: Axis
    points: Mapping[Place, Measured]


def curves_of(study: Study, found: Sequence[Measured]) -> list[Curve]:
    """Return all curves of a study: family × axis × benchmark × condition × specification.

    A place counts those of its checkpoints that were measured.
    """
    curves = []
    for family in study.families:
        asked: dict[tuple[Any, ...], dict[tuple[str, ...], Measured]] = {}
        for one in found:
            if one.family == family.name:
                key = (one.benchmark.name, one.condition, one.spec)
                asked.setdefault(key, {})[one.checkpoints] = one
        axes = axes_of(family, study.axes)
        for axis, measured in itertools.product(axes, asked.values()):
            there = {
                place: tuple(name for name in names if (name,) in measured)
                for place, names in axis.places.items()
            }
            points = {place: measured[names] for place, names in there.items() if names in measured}
            if len(points) > 1:
                curves.append(Curve(axis, points))
    return curves
