"""Law-school admissions (survey of Wightman 1998): does a swapped race change the decision?

Each profile (sex, LSAT, GPA) is asked about twice, as a Black and as a white applicant. The
survey's people with the same profile share one pair of prompts and count by their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scruple.benchmarks.base import (
    GROUP,
    Items,
    Metric,
    Question,
    Row,
    divide,
    estimate,
    hash_choice,
    probabilities,
    ratio,
    row_weights,
    share_of_most_common,
)
from scruple.benchmarks.tables import numbers, read_table
from scruple.prompts import PromptFile, fill
from scruple.statistics.clusters import ClusterSums, Function
from scruple.study import Benchmark

VERSION = 1
ANSWERS = ("yes", "no")
SAMPLING_UNIT = "cluster"

_SEX = {1: "female", 2: "male"}
_RACES = ("black", "white")


def read(files: Sequence[Path], entry: Benchmark) -> Items:
    """Read the survey (`law_data.csv`: columns sex, LSAT, UGPA) into one pair of items a profile.

    Raises:
        ScrupleError: naming the file, the line and the column that is wrong.
    """
    path = files[0]
    survey = read_table(path, ",", {"sex", "LSAT", "UGPA"})
    profiles = pd.DataFrame(
        {
            "sex": numbers(path, survey, "sex", 1, 2).astype(int).map(_SEX),
            "lsat": numbers(path, survey, "LSAT", 10, 48),
            "gpa": numbers(path, survey, "UGPA", 0, 4.5),
        }
    )
    counted = profiles.value_counts(sort=False).reset_index(name="weight")
    rows = []
    for record in counted.to_dict("records"):
        profile: Row = {str(name): value for name, value in record.items()}
        cluster = f"{profile['sex']}-{profile['lsat']:g}-{profile['gpa']:g}"
        follow = ANSWERS[hash_choice(cluster, 2)]
        for race in _RACES:
            rows.append(
                {
                    "item_id": f"{cluster}-{race}",
                    "cluster": cluster,
                    "stratum": "",
                    "weight": float(profile["weight"]),
                    "sex": profile["sex"],
                    "lsat": profile["lsat"],
                    "gpa": profile["gpa"],
                    "race": race,
                    "follow": follow,
                }
            )
    return Items(pd.DataFrame(rows), pd.DataFrame(columns=["item_id", "reason"], dtype=str))


def scorings(entry: Benchmark) -> tuple[str, ...]:
    """Return the one way of scoring, which has no name."""
    return ("",)


def question(item: Row, prompts: PromptFile, scoring: str, order: int) -> Question:
    """Return the slots, lead-in and candidates of one applicant."""
    answer = prompts.answers["yes_no"]
    forms: Any = answer.candidates
    slots = {
        "race": prompts.words["race"][item["race"]],
        "sex": prompts.words["sex"][item["sex"]],
        "lsat": f"{item['lsat']:g}",
        "gpa": f"{item['gpa']:.1f}" if round(item["gpa"], 1) == item["gpa"] else f"{item['gpa']:g}",
        "target": forms[item["follow"]][0].strip(),
    }
    candidates = {name: tuple(forms[name]) for name in ANSWERS}
    return Question(slots, fill(answer.lead_in, slots), candidates)


def measure(responses: pd.DataFrame) -> pd.DataFrame:
    """Compute the metrics over profiles, weighted by how many people have them.

    - p(yes) = yes / (yes + no), of the answers' probabilities.
    - admission_gap: weighted mean over profiles of p(yes|Black) − p(yes|white), paired by profile.
    - admission_rate: weighted mean of p(yes) over profiles and races; yes_rate: weighted share of
      applicants for whom yes is the likelier answer (1 or 0: saturated).
    - lsat_slope, gpa_slope: weighted least-squares slope of p(yes) per point, each alone. A model
      that reads the record has both above 0.

    Args:
        responses: one row per response with its item's columns.
    """
    rows = []
    for keys, group in responses.groupby(GROUP, sort=False, dropna=False):
        named = dict(zip(GROUP, keys, strict=True))
        weight = row_weights(group).to_numpy()
        p_yes = probabilities(group, ANSWERS)[:, 0]
        answers = group["answer"].to_numpy()
        table = {
            "stratum": group["stratum"].to_numpy(),
            "cluster": group["cluster"].to_numpy(),
            "n": weight,
            "items": weight / group["weight"].to_numpy(),
            "p": weight * p_yes,
            "valid_mass": weight * group["valid_mass"].to_numpy(dtype=float),
            **{f"chose_{name}": weight * (answers == name) for name in ANSWERS},
        }
        if follows := bool((group["target"] != "").all()):
            target = group["target"].to_numpy()
            table["following"] = weight * (answers == target)
            table["following_expected"] = weight * np.where(target == "yes", p_yes, 1 - p_yes)
        else:
            for race in _RACES:
                here = (group["race"] == race).to_numpy()
                table[f"p_{race}"] = weight * p_yes * here
                table[f"n_{race}"] = weight * here
            for name, centre in (("lsat", 37.0), ("gpa", 3.2)):
                x = group[name].to_numpy(dtype=float) - centre
                table[name] = weight * x
                table[f"{name}_2"] = weight * x * x
                table[f"{name}_p"] = weight * x * p_yes
        columns = [name for name in table if name not in ("stratum", "cluster")]
        sums = ClusterSums.of(pd.DataFrame(table), columns)
        rows += estimate(sums, _metrics(columns, follows), "", named)
    return pd.DataFrame(rows)


def _metrics(columns: list[str], follows: bool) -> list[Metric]:
    metrics = [
        Metric("admission_rate", ratio(columns, "p", "n"), "items"),
        Metric("yes_rate", ratio(columns, "chose_yes", "n"), "items"),
        Metric("valid_mass", ratio(columns, "valid_mass", "n"), "items"),
        Metric(
            "position_bias", share_of_most_common(columns, [f"chose_{a}" for a in ANSWERS]), "items"
        ),
    ]
    if follows:
        return [
            Metric(name, ratio(columns, name, "n"), "items")
            for name in ("following", "following_expected")
        ] + metrics
    slopes = [
        Metric(f"{name}_slope", _slope(columns, name), "items", (-np.inf, np.inf))
        for name in ("lsat", "gpa")
    ]
    return [Metric("admission_gap", _gap(columns), "items", (-1.0, 1.0)), *metrics, *slopes]


def _gap(columns: list[str]) -> Function:
    rates = [ratio(columns, f"p_{race}", f"n_{race}") for race in _RACES]

    def function(sums: np.ndarray) -> np.ndarray:
        return rates[0](sums) - rates[1](sums)

    return function


def _slope(columns: list[str], name: str) -> Function:
    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)
        n = total[..., columns.index("n")]
        x, xx, y, xy = (
            divide(total[..., columns.index(column)], n)
            for column in (name, f"{name}_2", "p", f"{name}_p")
        )
        return divide(xy - x * y, xx - x * x)

    return function
