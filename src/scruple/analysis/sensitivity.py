"""How much an effect depends on wording, scoring and the order of the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scruple.analysis.measurements import Measured, Sums, effect_of
from scruple.study.model import Study

SENSITIVITY = [
    "family", "checkpoint", "benchmark", "condition", "metric", "effect", "lowest", "highest",
    "n_ways", "sd_wording", "sd_order", "sd_rest", "sd_items", "language",
]  # fmt: skip


def sensitivity_table(study: Study, sums: Sums, found: Sequence[Measured]) -> pd.DataFrame:
    """Return one row per checkpoint × benchmark × condition, for the primary metric.

    `lowest` and `highest` are taken over all wordings, scorings and orders that were asked.
    `sd_wording` and `sd_order` are the square roots of variance components under the primary
    scoring, estimated from the mean squares of the two-way layout (Searle, Casella & McCulloch
    1992, "Variance Components", ch. 4; negative estimates are set to 0). `sd_rest` is that of
    their interaction. `sd_items` is the effect's standard error over clusters of items.
    """
    rows = []
    for one in found:
        if not one.spec.primary or len(one.checkpoints) > 1:
            continue
        checkpoint = one.checkpoints[0]
        table = sums[one.family, checkpoint, one.benchmark.name]
        orders = sorted({int(order) for order in table["order"]})
        scorings = list(dict.fromkeys(table["scoring"]))
        cells = {
            scoring: np.array(
                [[_effect(table, one, wording, scoring, order) for order in orders]
                 for wording in study.wordings]
            )
            for scoring in scorings
        }  # fmt: skip
        values = np.concatenate([cell.ravel() for cell in cells.values()])
        effect = one.reading.effects["q"]
        rows.append(
            {
                "family": one.family,
                "checkpoint": checkpoint,
                "benchmark": one.benchmark.name,
                "condition": one.condition,
                "metric": one.spec.metric,
                "effect": effect.value,
                "lowest": np.nanmin(values) if np.isfinite(values).any() else np.nan,
                "highest": np.nanmax(values) if np.isfinite(values).any() else np.nan,
                "n_ways": int(np.isfinite(values).sum()),
                **components(cells[one.spec.scoring]),
                "sd_items": effect.error,
                "language": study.language_of(one.benchmark),
            }
        )
    return pd.DataFrame(rows, columns=SENSITIVITY).round(12)


def _effect(table: pd.DataFrame, one: Measured, wording: str, scoring: str, order: int) -> float:
    spec = replace(one.spec, wording=wording, scoring=scoring)
    effect = effect_of(table, one.benchmark, one.margin, one.condition, spec, order)
    return float("nan") if effect is None else one.sign * effect.value()


def components(cells: np.ndarray) -> dict[str, Any]:
    """Return the standard deviations between rows, between columns, and of the interaction.

    Args:
        cells: effects by wording and order, shape (W, O).
    """
    w, o = cells.shape
    nothing = {"sd_wording": np.nan, "sd_order": np.nan, "sd_rest": np.nan}
    if not np.isfinite(cells).all():
        return nothing
    mean, by_row, by_column = cells.mean(), cells.mean(axis=1), cells.mean(axis=0)
    rest = cells - by_row[:, None] - by_column[None] + mean
    ms_rest = float((rest**2).sum() / ((w - 1) * (o - 1))) if w > 1 and o > 1 else 0.0
    found = dict(nothing)
    if w > 1 and o > 1:
        found["sd_rest"] = np.sqrt(ms_rest)
    if w > 1:
        ms = o * ((by_row - mean) ** 2).sum() / (w - 1)
        found["sd_wording"] = np.sqrt(max(0.0, ms - ms_rest) / o)
    if o > 1:
        ms = w * ((by_column - mean) ** 2).sum() / (o - 1)
        found["sd_order"] = np.sqrt(max(0.0, ms - ms_rest) / w)
    return found
