"""How large the next study must be, given the variance in this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scruple.errors import ScrupleError
from scruple.statistics.clusters import Estimate
from scruple.statistics.effects import ALPHA
from scruple.statistics.power import clusters_needed

POWER = [
    "family", "checkpoint", "benchmark", "condition", "metric", "margin", "standard_error",
    "n_clusters", "n_items", "n_strata", "degrees", "status", "effect", "power",
    "clusters_to_show", "items_to_show",
    "clusters_to_exclude", "items_to_exclude", "language",
]  # fmt: skip
_PILOT = POWER[:12]
"""Columns copied from the table of effects."""
_NUMBERS = ("margin", "standard_error", "n_clusters", "n_items", "n_strata", "degrees", "runs")
TIMES = (1.5, 2.0, 3.0)
"""Default effects to plan for, as multiples of the margin."""


def read_effects(path: Path) -> pd.DataFrame:
    """Read a table of effects, without the rows that have no margin or no counts.

    Raises:
        ScrupleError: if the file cannot be read or is not a table of effects.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ScrupleError(f"{path}: cannot be read as a table ({error}).") from None
    wanted = {"primary", "reference", "runs", "effect", "ci_low", "ci_high", *_PILOT}
    missing = sorted(wanted - set(table.columns))
    if missing:
        raise ScrupleError(
            f"{path}: is no table of effects, since it lacks {', '.join(missing)}; give a study's "
            "results/<study>/effects.csv."
        )
    if table["primary"].dtype != bool:
        raise ScrupleError(f"{path}: column `primary` must be True or False in every row.")
    for name in _NUMBERS:
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = table[name].notna() & (numbers.isna() | (numbers < 0))
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise ScrupleError(
                f"{path}: line {row + 2}: column `{name}` is {table[name].iloc[row]!r} and must be "
                "a number, 0 or above; run the study again to have the table written anew."
            )
        table[name] = numbers
    return table.dropna(subset=["margin", "n_clusters", "n_items", "n_strata"])


def power_table(
    effects: pd.DataFrame, power: float = 0.8, sizes: Sequence[float] | None = None
) -> pd.DataFrame:
    """Return how many clusters the primary comparisons with `q` need.

    Args:
        effects: a pilot's table of effects.
        power: probability of reaching the conclusion.
        sizes: true effects to plan for; None for TIMES the margin.

    Returns:
        The columns POWER, one row per comparison and true effect. `clusters_to_show` is the number
        of clusters needed to show that the effect is above the margin. `clusters_to_exclude` is the
        number needed to show that it is below, if there is no effect. One reference is enough for
        the latter, so each is tested at its share of the level. The numbers of items assume as many
        items per cluster as in the pilot.
    """
    rows = []
    primary = effects[effects["primary"] & (effects["runs"] == 1)]
    place = ["family", "checkpoint", "benchmark", "condition"]
    references = primary.groupby(place)["reference"].transform("size")
    mine = primary.assign(level=ALPHA / references)[primary["reference"] == "q"]
    for pilot in mine.to_dict("records"):
        estimate = Estimate(
            pilot["effect"], pilot["ci_low"], pilot["ci_high"], pilot["standard_error"],
            float(pilot["degrees"]), int(pilot["n_clusters"]), int(pilot["n_items"]),
            int(pilot["n_strata"]),
        )  # fmt: skip
        margin = pilot["margin"]
        each = estimate.items / max(estimate.clusters, 1)
        for size in sizes or [times * margin for times in TIMES]:
            show = clusters_needed(estimate, size - margin, power)
            exclude = clusters_needed(estimate, margin, power, pilot["level"])
            rows.append(
                {
                    **{name: pilot[name] for name in _PILOT},
                    "effect": size,
                    "power": power,
                    "clusters_to_show": show,
                    "items_to_show": np.ceil(show * each),
                    "clusters_to_exclude": exclude,
                    "items_to_exclude": np.ceil(exclude * each),
                    # tables written by version 0.1 lack this column
                    "language": pilot.get("language"),
                }
            )
    return pd.DataFrame(rows, columns=POWER).round(12)
