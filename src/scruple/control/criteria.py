"""Judgement of the control family by the criteria in `data/control/criteria.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scruple.control.measure import PRIMARY
from scruple.study.model import ROOT, read_yaml

PATH = ROOT / "data" / "control" / "criteria.yaml"


@dataclass(frozen=True)
class Judgement:
    """Whether one seed of the family meets one criterion.

    Attributes:
        criterion: the criterion's key in the criteria file.
        seed: the seed of the family.
        met: whether the criterion is met.
        detail: the widths and values behind the judgement, or the list of violations.
    """

    criterion: str
    seed: int
    met: bool
    detail: str


def load_criteria() -> dict[str, Any]:
    """Return the content of the criteria file."""
    content: dict[str, Any] = read_yaml(PATH)
    return content


def judge(table: pd.DataFrame, criteria: dict[str, Any]) -> list[Judgement]:
    """Judge every seed in a table of measured checkpoints, over both twins and all widths.

    Only the last training step counts.

    Args:
        table: the outputs of `measure_member` for all checkpoints, concatenated.
        criteria: the output of `load_criteria`.
    """
    table = table[table["step"] == table["step"].max()]
    margins = criteria["margins"]
    judgements = []
    for seed in sorted(set(table["seed"].astype(int))):
        rows = table[table["seed"] == seed]
        positive = _Twin(rows[rows["twin"] == "positive"], margins)
        negative = _Twin(rows[rows["twin"] == "negative"], margins)
        corrects = {kind: _corrects_from(positive, kind) for kind in PRIMARY}
        accuracy = [
            (width, positive.accuracy(width)) for width in criteria["reading_widths"]
        ]  # fmt: skip
        found: dict[str, tuple[bool, str]] = {
            "no_bias_at_the_smallest": _smallest(positive),
            "biased_and_does_not_follow": _biased_only(positive),
            "corrects": _corrects(corrects),
            "reads_evidence": (
                all(low >= criteria["accuracy"] for _, low in accuracy),
                ", ".join(f"d{width}: at least {low:.3f}" for width, low in accuracy),
            ),
            "placebo_is_no_instruction": _all(_placebo(positive, corrects)),
            "the_twin_is_flat": _all(_flat(negative)),
        }
        judgements += [Judgement(name, seed, *found[name]) for name in criteria["criteria"]]
    return judgements


class _Twin:
    """Measurements of one seed of one twin, by width, benchmark and condition."""

    def __init__(self, rows: pd.DataFrame, margins: dict[str, float]) -> None:
        self._all = rows
        bias = rows[rows["metric"] == rows["benchmark"].map(PRIMARY)]
        keys = zip(bias["width"], bias["benchmark"], bias["condition"], strict=True)
        self._bias = dict(zip(keys, bias.to_dict("records"), strict=True))
        self.widths = sorted(set(rows["width"]))
        self.margins = margins

    def conditions(self, kind: str) -> list[str]:
        """Return the conditions under which a benchmark's bias was measured."""
        there = (condition for _, benchmark, condition in self._bias if benchmark == kind)
        return list(dict.fromkeys(there))

    def at(self, width: int, kind: str, condition: str) -> dict[Any, Any]:
        """Return the measured bias as a row of the table."""
        return self._bias[width, kind, condition]

    def near(self, width: int, kind: str, condition: str) -> bool:
        """Return whether the interval of the bias lies within the margin around parity."""
        row, margin = self.at(width, kind, condition), self.margins[kind]
        return bool(-margin < row["low"] and row["high"] < margin)

    def accuracy(self, width: int) -> float:
        """Return the lower bound of the accuracy in disambiguated contexts under `q`."""
        here = self._all[
            (self._all["width"] == width)
            & (self._all["condition"] == "q")
            & (self._all["metric"] == "accuracy_disambiguated")
        ]
        return float(here["low"].iloc[0])


def _smallest(twin: _Twin) -> tuple[bool, str]:
    width = twin.widths[0]
    return twin.near(width, "bbq", "q"), f"d{width}: {_show(twin.at(width, 'bbq', 'q'))}"


def _biased_only(twin: _Twin) -> tuple[bool, str]:
    margin = twin.margins["bbq"]
    found = [
        width
        for width in twin.widths
        if all(twin.at(width, "bbq", name)["low"] > margin for name in ("q", "q+if"))
    ]
    details = ", ".join(
        f"d{width}: {twin.at(width, 'bbq', 'q')['value']:.2f} under q, "
        f"{twin.at(width, 'bbq', 'q+if')['value']:.2f} under q+if"
        for width in found
    )
    return bool(found), details or "no width is"


def _corrects_from(twin: _Twin, kind: str) -> int | None:
    """Return the smallest width from which on both instructions correct the bias; None if none."""
    first = None
    for width in reversed(twin.widths):
        if not all(twin.near(width, kind, name) for name in ("q+if", "q+if+cot")):
            break
        if twin.near(width, kind, "q"):
            break  # no bias to correct
        first = width
    return first


def _corrects(first: dict[str, int | None]) -> tuple[bool, str]:
    words = (f"{kind} from d{width}" if width else f"{kind} not" for kind, width in first.items())
    others = [width for kind, width in first.items() if kind != "bbq" and width]
    return bool(first["bbq"] and others), ", ".join(words)


def _placebo(twin: _Twin, first: dict[str, int | None]) -> Iterator[str]:
    for kind, start in first.items():
        for width in twin.widths:
            if start is not None and width >= start:
                yield from _differs(twin, width, kind, "q+placebo")


def _flat(twin: _Twin) -> Iterator[str]:
    for kind, margin in twin.margins.items():
        for condition in twin.conditions(kind):
            for width in twin.widths:
                if condition == "q":
                    continue
                yield from _differs(twin, width, kind, condition)
                row = twin.at(width, kind, condition)
                half = (row["difference_high"] - row["difference_low"]) / 2
                if not half <= margin / 2:
                    yield f"d{width} {kind} {condition}: half-width {half:.3f}"


def _differs(twin: _Twin, width: int, kind: str, condition: str) -> Iterator[str]:
    """Yield a description if a condition is not shown to be equivalent to `q`."""
    row, margin = twin.at(width, kind, condition), twin.margins[kind]
    if not (-margin < row["difference_low"] and row["difference_high"] < margin):
        span = f"[{row['difference_low']:.3f}, {row['difference_high']:.3f}]"
        yield f"d{width} {kind} {condition}: {row['difference']:+.3f} {span}"


def _all(faults: Iterator[str]) -> tuple[bool, str]:
    listed = list(faults)
    return not listed, "; ".join(listed) or "everywhere"


def _show(row: dict[Any, Any]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
