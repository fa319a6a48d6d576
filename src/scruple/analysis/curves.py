"""The shape of the effect along size, and which shapes the data can distinguish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scruple import texts
from scruple.analysis.measurements import Measured, Sums, effect_of
from scruple.analysis.verdicts import Curve, curves_of
from scruple.statistics.clusters import jackknife_covariance
from scruple.statistics.curves import compare, fit
from scruple.statistics.runs import between, mean_of
from scruple.study.model import Study

CURVES = [
    "family", "axis", "stage", "benchmark", "condition", "metric", "primary", "model", "distance",
    "against", "p_value", "fitted", "reason", "language",
]  # fmt: skip
_SIMPLER = {"linear": "constant", "isotonic": "constant", "break": "linear"}
"""Model → the simpler model that it is compared with."""
_FEWEST = 4
"""Smallest number of sizes to which shapes are fitted."""


def curves_table(study: Study, sums: Sums, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per size curve and fitted model, for the primary wording and scoring."""
    rows: list[dict[str, Any]] = []
    primary = {
        (one.family, one.benchmark.name, one.spec.wording, one.spec.scoring)
        for one in found
        if one.spec.primary
    }
    for curve in curves_of(study, found):
        first = next(iter(curve.points.values()))
        fixed = (
            first.family,
            first.benchmark.name,
            first.spec.wording,
            first.spec.scoring,
        )
        if curve.axis.kind != "size" or len(curve.points) < _FEWEST or fixed not in primary:
            continue
        place = {
            "family": first.family,
            "axis": curve.axis.name,
            "stage": curve.axis.stage,
            "benchmark": first.benchmark.name,
            "condition": first.condition,
            "metric": first.spec.metric,
            "primary": first.spec.primary,
            "language": study.language_of(first.benchmark),
        }
        rows += [{**place, **row} for row in _fits(study.seed, sums, curve)]
    return pd.DataFrame(rows, columns=CURVES).round(12)


def _fits(seed: int, sums: Sums, curve: Curve) -> list[dict[str, Any]]:
    points = curve.points.values()
    effects = np.array([one.reading.effects["q"].value for one in points])
    covariance = _covariance(sums, list(points))
    x = np.log10([float(place) for place in curve.points])
    try:
        if covariance is None or not np.isfinite(effects).all():
            raise np.linalg.LinAlgError
        fits = fit(x, effects, covariance)
    except np.linalg.LinAlgError:
        return [{"model": "none", "reason": texts.CURVE["not fitted"]}]
    rows = []
    for name, found in fits.items():
        simpler = _SIMPLER.get(name)
        p = compare(x, effects, covariance, simpler, name, seed) if simpler else float("nan")
        rows.append(
            {
                "model": name,
                "distance": found.distance,
                "against": simpler,
                "p_value": p,
                "fitted": " ".join(f"{value:.4f}" for value in found.fitted),
                "reason": _told(name, simpler, p),
            }
        )
    return rows


def _told(name: str, simpler: str | None, p: float) -> str:
    if simpler is None:
        return texts.CURVE["simplest"]
    if p < 0.05:
        return texts.CURVE["better"].format(simpler=simpler)
    if name == "break":
        return texts.CURVE["no break"]
    return texts.CURVE["no better"].format(simpler=simpler)


def _covariance(sums: Sums, members: Sequence[Measured]) -> np.ndarray | None:
    """Return the covariance of the members' effects against `q`; None if it cannot be computed.

    The members share their clusters, so the jackknife gives their covariance. The variance between
    training runs of a recipe is independent across sizes and is added to the diagonal.
    """
    columns, strata, alone = [], [], []
    for one in members:
        tables = [sums[one.family, name, one.benchmark.name] for name in one.checkpoints]
        runs = [
            effect
            for table in tables
            if (effect := effect_of(table, one.benchmark, one.margin, one.condition, one.spec))
        ]
        if len(runs) < len(tables):
            return None
        mean = mean_of(runs)
        columns.append(one.sign * mean.left_out())
        strata.append(mean.data.stratum)
        alone.append(between(runs))
    if any(not np.array_equal(stratum, strata[0]) for stratum in strata):
        return None
    return jackknife_covariance(np.column_stack(columns), strata[0]) + np.diag(alone)
