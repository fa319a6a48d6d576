"""Which shapes the effects along size can have, and which of them cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scruple.analysis.readings import Measured, Sums, effect_data
from scruple.analysis.tables import curves_of
from scruple.statistics.clusters import jackknife_covariance, leave_out
from scruple.statistics.curves import compare, fit
from scruple.study import Study

CURVES = [
    "family", "axis", "stage", "benchmark", "condition", "metric", "primary", "model", "distance",
    "against", "p_value", "fitted", "reason",
]  # fmt: skip
_SIMPLER = {"linear": "constant", "isotonic": "constant", "break": "linear"}
"""Model → the simpler one that it is compared with."""
_FEWEST = 4
"""Sizes below which no shape is fitted."""


def curves_table(study: Study, sums: Sums, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per curve along size and model, for the primary wording and scoring."""
    rows: list[dict[str, Any]] = []
    primary = {
        (one.family, one.benchmark.name, one.way.wording, one.way.scoring)
        for one in found
        if one.way.primary
    }
    for key, curve in curves_of(study, found).items():
        family, axis, stage, benchmark, condition, way = key
        fixed = (family, benchmark, way.wording, way.scoring) in primary
        if axis != "params" or len(curve) < _FEWEST or not fixed:
            continue
        place = {
            "family": family,
            "axis": axis,
            "stage": stage,
            "benchmark": benchmark,
            "condition": condition,
            "metric": way.metric,
            "primary": way.primary,
        }
        rows += [{**place, **row} for row in _fits(study.seed, sums, curve)]
    return pd.DataFrame(rows, columns=CURVES).round(12)


def _fits(seed: int, sums: Sums, curve: Sequence[tuple[float, Measured]]) -> list[dict[str, Any]]:
    effects = np.array([one.reading.effects["q"].value for _, one in curve])
    covariance = _covariance(sums, [one for _, one in curve])
    x = np.log10([place for place, _ in curve])
    try:
        if covariance is None or not np.isfinite(effects).all():
            raise np.linalg.LinAlgError
        fits = fit(x, effects, covariance)
    except np.linalg.LinAlgError:
        reason = "not fitted: somewhere the effect is undefined or does not vary at all"
        return [{"model": "none", "reason": reason}]
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
        return "the same effect at every size"
    if p < 0.05:
        return f"fits better than {simpler}"
    if name == "break":
        return "a break cannot be told from a straight line with these sizes"
    return f"cannot be told from {simpler} with these sizes"


def _covariance(sums: Sums, members: Sequence[Measured]) -> np.ndarray | None:
    """Return the covariance of the members' effects against `q`, which share their clusters."""
    columns, strata = [], []
    for one in members:
        table = sums[one.family, one.checkpoint, one.benchmark.name]
        pair = effect_data(table, one.benchmark, one.margin, one.condition, one.way)
        if pair is None:
            return None
        data, function = pair
        columns.append(one.sign * leave_out(data, function))
        strata.append(data.stratum)
    if any(not np.array_equal(stratum, strata[0]) for stratum in strata):
        return None
    return jackknife_covariance(np.column_stack(columns), strata[0])
