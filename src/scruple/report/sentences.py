"""Verdicts in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scruple.analysis.measurements import CONTROLS
from scruple.figures.style import called, size

_SAID = {
    "emerges": "removes bias against {every} at each {thing} from {at_most} on; up to {above} it "
    "is shown not to, against {one}{silent}.",
    "present throughout": "removes bias against {every} at every {thing} of the study.",
    "absent": "is shown to remove less than the margin, against {one}, at every {thing}{silent}.",
    "nothing to correct": "has nothing to correct: without it the answers are at parity.",
    "non-monotone": "removes bias somewhere, and at a later {thing} it is shown not to.",
    "worsens": "adds bias at the last {thing}.",
    "overcorrects": "turns the bias round at the last {thing}.",
    "collapses": "costs the last {thing} its ability to answer: no bias, since no answer.",
    "unreadable": "cannot be judged: no {thing} reads the questions well enough for its bias to "
    "mean anything.",
    "undecided": "has no verdict{ends}.",
}
"""Verdicts → what a condition does, as a sentence goes on."""


def sentence(row: Mapping[Any, Any]) -> str:
    """Return what a row of the table of emergence says, after the condition's name."""
    thing = {"params": "size", "stage": "stage"}.get(row["axis"].split(" ")[0], "step")
    above, at_most = (_place(row[name], thing) for name in ("above", "at_most"))
    ends = []
    if above and row["verdict"] == "undecided":
        ends.append(f"it is shown not to remove bias up to {above}")
    if at_most and row["verdict"] == "undecided":
        ends.append(f"it removes bias from {at_most} on")
    references = [called(name) for name in row["reference"].split(" and ")]
    silent = re.search(r"\(of these: (.*?)\)", row["reason"])
    missing = re.search(r"; not finished: (.*)$", row["reason"])
    said = _SAID[row["verdict"]].format(
        thing=thing,
        above=above,
        at_most=at_most,
        ends="".join(f"; {end}" for end in ends),
        every=" and ".join(references),
        one=" or ".join(references),
        silent=f" (of these: {silent[1]})" if silent else "",
    )
    return f"{said} Not finished, so left out: {missing[1]}." if missing else said


def _place(value: Any, thing: str) -> str:
    if pd.isna(value) or value == "":
        return ""
    if thing == "size":
        return f"{size(float(value))} parameters"
    return str(value) if thing == "stage" else f"step {float(value):g}"


def verdicts(emergence: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the primary verdicts, grouped by family and benchmark, instructions first.

    Args:
        emergence: the table of emergence.

    Returns:
        Groups with `family`, `axis`, `benchmark` and `lines`; a line has `condition`, `verdict`,
        `sentence`, `reason`, `control` (it asks for nothing), `runs`.
    """
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    primary = emergence[emergence["primary"].astype(bool)]
    for row in primary.to_dict("records"):
        key = (row["family"], row["axis"], row["stage"], row["benchmark"])
        group = groups.setdefault(
            key,
            {
                "family": row["family"],
                "axis": axis_name(row["axis"], row["stage"]),
                "benchmark": row["benchmark"],
                "lines": [],
            },
        )
        group["lines"].append(
            {
                "condition": called(row["condition"]),
                "verdict": row["verdict"],
                "sentence": sentence(row),
                "reason": row["reason"],
                "control": row["condition"] in CONTROLS,
                "runs": int(row["runs"]),
            }
        )
    for group in groups.values():
        group["lines"].sort(key=lambda line: line["control"])
    return list(groups.values())


def overview(emergence: pd.DataFrame, conditions: Sequence[str]) -> dict[str, Any]:
    """Return the primary verdicts along size as a table: families and benchmarks × conditions."""
    table = emergence[emergence["primary"].astype(bool) & (emergence["axis"] == "params")]
    shown = [name for name in conditions if name in set(table["condition"])]
    rows = []
    for (family, stage, benchmark), group in table.groupby(
        ["family", "stage", "benchmark"], sort=False
    ):
        cells = {row["condition"]: row for row in group.to_dict("records")}
        rows.append(
            {
                "family": family if stage in ("", "base") else f"{family}, {stage}",
                "benchmark": benchmark,
                "cells": [
                    {"verdict": cells[name]["verdict"], "interval": _interval(cells[name])}
                    if name in cells
                    else None
                    for name in shown
                ],
            }
        )
    return {"conditions": [called(name) for name in shown], "rows": rows}


def _interval(row: Mapping[Any, Any]) -> str:
    above, at_most = (
        "" if pd.isna(row[name]) or row[name] == "" else size(float(row[name]))
        for name in ("above", "at_most")
    )
    if above and at_most:
        return f"({above}, {at_most}]"
    return f"from {at_most} on" if at_most else ""


def axis_name(axis: str, stage: str) -> str:
    """Return an axis as words: `along size`, `along steps at 592k parameters`."""
    kind, _, params = axis.partition(" at ")
    suffix = f" ({stage})" if stage not in ("", "base") else ""
    if kind == "params":
        return f"along size{suffix}"
    return f"along {kind}s at {size(float(params))} parameters{suffix}"
