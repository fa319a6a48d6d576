"""Readings → the tables of effects and of emergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from scruple.analysis.readings import CONTROLS, Measured, last_steps, limits_of, on_axes
from scruple.statistics.effects import judge, p_value
from scruple.statistics.emergence import emergence
from scruple.study import Study

EFFECTS = [
    "family", "checkpoint", "params", "stage", "step", "benchmark", "subset", "condition",
    "wording", "scoring", "metric", "reference", "effect", "ci_low", "ci_high",
    "standard_error", "n_clusters", "margin", "p_value", "p_adjusted", "status", "primary",
    "reason",
]  # fmt: skip
EMERGENCE = [
    "family", "axis", "stage", "benchmark", "condition", "wording", "scoring", "metric", "margin",
    "reference", "verdict", "above", "at_most", "primary", "declared", "reason",
]  # fmt: skip

_ALONE = "; its control was not asked, so any other instruction might do the same"


def effects_table(study: Study, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per checkpoint × benchmark × condition × way × reference."""
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
                    "n_clusters": effect.clusters,
                    "p_value": p_value(effect, limits.delta),
                    "status": verdict.status,
                    "reason": verdict.reason,
                }
            )
    table = _table(rows, EFFECTS)
    table["p_adjusted"] = np.nan
    for _, group in table.groupby(["wording", "scoring", "metric"], dropna=False):
        tested = group["p_value"].dropna()
        if len(tested):
            table.loc[tested.index, "p_adjusted"] = multipletests(tested, method="holm")[1]
    return table.round(12)


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Return rows as a table whose `primary` marks rows, also where there are none."""
    return pd.DataFrame(rows, columns=columns).astype({"primary": bool})


def _place(study: Study, one: Measured) -> dict[str, Any]:
    checkpoint = study.checkpoint(one.family, one.checkpoint)
    return {
        "family": one.family,
        "checkpoint": one.checkpoint,
        "params": checkpoint.params,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "benchmark": one.benchmark.name,
        "condition": one.condition,
        "wording": one.way.wording,
        "scoring": one.way.scoring,
        "metric": one.way.metric,
        "primary": one.way.primary,
    }


def emergence_table(study: Study, found: Sequence[Measured], declared: str) -> pd.DataFrame:
    """Return one row per family × axis × benchmark × condition × way: where a correction emerges.

    Args:
        study: the study.
        found: every reading.
        declared: when the margins were set, in a sentence.
    """
    rows = []
    for key, curve in curves_of(study, found).items():
        family, axis, stage, _, condition, way = key
        first = curve[0][1]
        references = list(first.reading.effects)
        alone = len(references) == 1 and condition not in CONTROLS
        result = emergence(
            [place for place, _ in curve],
            [one.reading for _, one in curve],
            limits_of(first.margin),
        )
        rows.append(
            {
                "family": family,
                "axis": axis,
                "stage": stage,
                "benchmark": first.benchmark.name,
                "condition": condition,
                "wording": way.wording,
                "scoring": way.scoring,
                "metric": way.metric,
                "margin": first.margin.delta,
                "reference": " and ".join(references),
                "verdict": result.verdict,
                "above": result.above,
                "at_most": result.at_most,
                "primary": way.primary,
                "declared": declared,
                "reason": result.reason + (_ALONE if alone else ""),
            }
        )
    return _table(rows, EMERGENCE)


Curve = list[tuple[float, Measured]]


def curves_of(study: Study, found: Sequence[Measured]) -> dict[tuple[Any, ...], Curve]:
    """Return the checkpoints of each curve by their place on its axis, ascending.

    Along `params`: those of a stage at their last step. Along `step`: those of a size and stage.
    """
    curves: dict[tuple[Any, ...], Curve] = {}
    for one in found:
        every = on_axes(study, one.family)
        checkpoint = study.checkpoint(one.family, one.checkpoint)
        if checkpoint not in every:
            continue
        rest = (one.benchmark.name, one.condition, one.way)
        if checkpoint in last_steps(study, one.family, checkpoint.stage):
            key = (one.family, "params", checkpoint.stage, *rest)
            curves.setdefault(key, []).append((float(checkpoint.params), one))
        peers = {
            c.step for c in every if (c.stage, c.params) == (checkpoint.stage, checkpoint.params)
        }
        if checkpoint.step is not None and len(peers) > 1:
            axis = f"step at {checkpoint.params}"
            key = (one.family, axis, checkpoint.stage, *rest)
            curves.setdefault(key, []).append((float(checkpoint.step), one))
    return {
        key: sorted(curve, key=lambda pair: pair[0])
        for key, curve in curves.items()
        if len(curve) > 1
    }
