"""Compare the sizes at which correction and the following of plain instructions emerge.

The original study explains its result by two abilities: following instructions and knowing what
harm is. The condition `q+follow` measures the first on its own, by an instruction with a known
right answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scruple.analysis.axes import Place, axes_of
from scruple.analysis.measurements import Sums, metric_of
from scruple.analysis.sums import select
from scruple.benchmarks import benchmark_module
from scruple.statistics.clusters import Estimate
from scruple.statistics.effects import Limits, Reading, statistic
from scruple.statistics.emergence import Emergence, emergence
from scruple.statistics.runs import over_runs
from scruple.study.conditions import CONTROLS
from scruple.study.model import Study

ABILITIES = [
    "family", "benchmark", "condition", "follows_above", "follows_at_most", "follows",
    "corrects_above", "corrects_at_most", "corrects", "order", "language",
]  # fmt: skip
_SURE = Estimate(1.0, 1.0, 1.0, 0.0, 1, 1, bounds=(0.0, 1.0))
_NO_CHANGE = Estimate(0.0, 0.0, 0.0, 0.0, 1, 1, bounds=(-1.0, 1.0))


def abilities_table(study: Study, sums: Sums, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per family × benchmark × condition: which ability emerges first along size.

    A checkpoint follows instructions if it gives the requested answer in more than half of the
    cases in which chance would not. With n possible answers, that is a share above (1 + 1/n)/2.

    Args:
        study: the study.
        sums: the tables of sums of all jobs.
        verdicts: the table of emergence.
    """
    rows = []
    primary = verdicts[verdicts["primary"] & (verdicts["axis_kind"] == "size")]
    primary = primary[~primary["condition"].isin(CONTROLS)]
    for verdict in primary.to_dict("records"):
        follows = _following(study, sums, verdict)
        if follows is None:
            continue
        rows.append(
            {
                "family": verdict["family"],
                "benchmark": verdict["benchmark"],
                "condition": verdict["condition"],
                "follows_above": follows.above,
                "follows_at_most": follows.at_most,
                "follows": follows.verdict,
                "corrects_above": verdict["above"],
                "corrects_at_most": verdict["at_most"],
                "corrects": verdict["verdict"],
                "order": _order(follows, verdict["above"], verdict["at_most"]),
                "language": verdict["language"],
            }
        )
    return pd.DataFrame(rows, columns=ABILITIES)


def _following(study: Study, sums: Sums, verdict: Mapping[Any, Any]) -> Emergence | None:
    """Return where following emerges along a verdict's axis; None if that was not measured."""
    benchmark = study.benchmark(verdict["benchmark"])
    module = benchmark_module(benchmark.kind)
    chance = 1 / len(module.ANSWERS)
    axes = axes_of(study.family(verdict["family"]), study.axes)
    axis = next(a for a in axes if (a.name, a.stage) == (verdict["axis"], verdict["stage"]))
    places, readings = [], []
    for place, names in axis.places.items():
        keys = [(verdict["family"], name, benchmark.name) for name in names]
        runs = []
        for table in (sums[key] for key in keys if key in sums):
            data = select(table, "q+follow", study.wordings[0], str(verdict["scoring"] or ""))
            if data is None:
                return None
            runs.append(statistic(data, metric_of(module, data, "following")))
        if not runs:
            continue
        share = over_runs(runs)
        above = replace(
            share,
            value=share.value - chance,
            low=share.low - chance,
            high=share.high - chance,
            bounds=(-chance, 1 - chance),
        )
        places.append(place)
        readings.append(Reading(_SURE, _SURE, {"chance": above}, (_SURE,), (_NO_CHANGE,)))
    return emergence(places, readings, Limits((1 - chance) / 2, (0.0,), (1.0,)))


def _order(follows: Emergence, above: Place | None, at_most: Place | None) -> str:
    """Return in a phrase which ability emerges first, given the two intervals of emergence."""
    bounds = (above, at_most, follows.above, follows.at_most)
    low, high, follows_low, follows_high = (np.nan if v is None else float(v) for v in bounds)
    if high <= follows_low:  # an unknown bound is NaN, and every comparison with NaN is false
        return "correction comes first"
    if follows_high <= low:
        return "following comes first"
    if not np.isnan(high + follows_high):
        return "together, as far as these sizes tell"
    return "undecided"
