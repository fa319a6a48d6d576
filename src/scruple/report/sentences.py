"""Verdicts as plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scruple import texts
from scruple.analysis.verdicts import read_places
from scruple.figures.style import called, size
from scruple.study.conditions import CONTROLS


def sentence(row: Mapping[Any, Any]) -> str:
    """Return a row of the table of emergence as a sentence that follows the condition's name."""
    thing = str(row["axis_kind"])
    above, at_most = (_place(row[name], thing) for name in ("above", "at_most"))
    ends = []
    if above and row["verdict"] == "undecided":
        ends.append(texts.UNDECIDED_ABOVE.format(above=above))
    if at_most and row["verdict"] == "undecided":
        ends.append(texts.UNDECIDED_AT_MOST.format(at_most=at_most))
    references = [called(name) for name in row["references"].split()]
    untested = [f"{place} {status}" for place, status in read_places(row["untested"])]
    unfinished = row["unfinished"].split()
    said = texts.SENTENCE[row["verdict"]].format(
        thing=thing,
        above=above,
        at_most=at_most,
        ends="".join(f"; {end}" for end in ends),
        every=texts.AND.join(references),
        one=texts.OR.join(references),
        silent=texts.UNTESTED.format(places=", ".join(untested)) if untested else "",
    )
    if not unfinished:
        return said
    return f"{said} {texts.LEFT_OUT.format(checkpoints=', '.join(unfinished))}"


def _place(value: Any, thing: str) -> str:
    if pd.isna(value) or value == "":
        return ""
    if thing == "size":
        return texts.SIZE.format(size=size(float(value)))
    return str(value) if thing == "stage" else texts.STEP.format(step=float(value))


def verdicts(emergence: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the primary verdicts, grouped by family, axis and benchmark, with controls last.

    Args:
        emergence: the table of emergence.

    Returns:
        Groups with `family`, `axis`, `benchmark` and `lines`. A line has `condition`, `verdict`,
        `sentence`, `reason`, `control` (whether the condition is a control) and `runs`.
    """
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    primary = emergence[emergence["primary"].astype(bool)]
    for row in primary.to_dict("records"):
        key = (row["family"], row["axis"], row["stage"], row["benchmark"])
        group = groups.setdefault(
            key,
            {
                "family": row["family"],
                "axis": axis_name(row["axis_kind"], row["axis_at"], row["stage"]),
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
    """Return the primary verdicts along size as a table of families, benchmarks × conditions."""
    table = emergence[emergence["primary"].astype(bool) & (emergence["axis_kind"] == "size")]
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
        return texts.INTERVAL.format(above=above, at_most=at_most)
    return texts.FROM.format(at_most=at_most) if at_most else ""


def axis_name(kind: str, at: float, stage: str) -> str:
    """Describe an axis, for example as `along size` or `along steps at 592k parameters`.

    Args:
        kind: size, stage or step.
        at: the number of parameters of its checkpoints; ignored for size.
        stage: the stage of its checkpoints; empty for none.
    """
    suffix = f" ({stage})" if stage not in ("", "base") else ""
    if kind == "size":
        return texts.ALONG_SIZE + suffix
    return texts.ALONG[kind].format(size=size(float(at))) + suffix
