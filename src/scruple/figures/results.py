"""A study's tables, as used by the figures and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from scruple.analysis.metrics import COLUMNS, read_metrics
from scruple.analysis.sensitivity import SENSITIVITY
from scruple.analysis.sums import select
from scruple.analysis.verdicts import EFFECTS, EMERGENCE
from scruple.errors import ScrupleError
from scruple.study.model import Study
from scruple.study.unfinished import Unfinished, notes_of


@dataclass(frozen=True)
class Tables:
    """A study and its results.

    Attributes:
        study: the study.
        metrics: the table of metrics.
        effects: the table of effects.
        emergence: the table of emergence, which holds the verdicts.
        sensitivity: the table of the spread over wordings, scorings and option orders.
        sums: (family, checkpoint, benchmark) → file of its sums.
        unfinished: the jobs of the study that have no responses.
    """

    study: Study
    metrics: pd.DataFrame
    effects: pd.DataFrame
    emergence: pd.DataFrame
    sensitivity: pd.DataFrame
    sums: Mapping[tuple[str, str, str], Path]
    unfinished: Unfinished = field(default_factory=dict)

    def measure(self, benchmark: str) -> tuple[str, str]:
        """Return the primary metric of bias of a benchmark and its subset."""
        entry = self.study.benchmark(benchmark)
        margin = self.study.margin(entry)
        if margin is None:
            return entry.traits.bias, entry.traits.subset
        return margin.metric, margin.subset

    def notes(self) -> dict[str, str]:
        """Return family → remark, for the families that have one."""
        return notes_of(self.study, self.unfinished)

    def primary_effects(self) -> pd.DataFrame:
        """Return the primary effects against `q`, one row per checkpoint and condition."""
        table = self.effects
        single = (table["runs"] == 1) & (table["reference"] == "q")
        return table[table["primary"].astype(bool) & single]

    def title(self, benchmark: str, metric: str) -> str:
        """Return the title of a metric of a benchmark; it may contain line breaks."""
        titles = self.study.benchmark(benchmark).traits.titles
        return f"{benchmark}: {titles.get(metric, metric)}"

    def rows(self, benchmark: str, metric: str, subset: str = "") -> pd.DataFrame:
        """Return a metric's rows for the first wording and each family's primary scoring."""
        table = self.metrics
        primary = table["family"].map({f.name: f.primary_scoring for f in self.study.families})
        return table[
            (table["benchmark"] == benchmark)
            & (table["metric"] == metric)
            & (table["subset"] == subset)
            & table["wording"].isin(["", self.study.wordings[0]])
            & ((table["scoring"] == "") | (table["scoring"] == primary))
        ]

    def largest(self, kind: str) -> tuple[str, dict[str, str]]:
        """Return a benchmark of a kind, and each family's largest checkpoint with responses to it.

        Returns:
            The first benchmark of that kind that has responses, and family → the name of its
            largest checkpoint, at the last stage and step. Families without responses are left
            out; if no family has any, the mapping is empty.
        """
        name, found = "", {}
        for name in (entry.name for entry in self.study.benchmarks if entry.kind == kind):
            for family in self.study.families:
                stages = list(dict.fromkeys(c.stage for c in family.checkpoints))
                asked = [c for c in family.checkpoints if (family.name, c.name, name) in self.sums]
                if asked:
                    last = max(asked, key=lambda c: (c.params, stages.index(c.stage), c.step or 0))
                    found[family.name] = last.name
            if found:
                break
        return name, found

    def clusters(
        self, family: str, checkpoint: str, benchmark: str, condition: str
    ) -> pd.DataFrame | None:
        """Return a condition's primary sums, one row per cluster; None if it was not asked."""
        table = pd.read_parquet(self.sums[family, checkpoint, benchmark])
        scoring = self.study.primary_scoring(family, self.study.benchmark(benchmark))
        found = select(table, condition, self.study.wordings[0], scoring)
        return None if found is None else pd.DataFrame(found.sums, columns=list(found.columns))


def read_tables(
    study: Study,
    folder: Path,
    sums: Mapping[tuple[str, str, str], Path],
    unfinished: Unfinished = MappingProxyType({}),
) -> Tables:
    """Read a study's tables from its results folder.

    Raises:
        ScrupleError: if a table was written by an older version and lacks columns.
    """

    def read(name: str, columns: Sequence[str]) -> pd.DataFrame:
        text = {"wording": str, "scoring": str, "stage": str, "step": float, "family": str,
                "checkpoint": str, "benchmark": str, "subset": str, "untested": str,
                "unfinished": str, "language": str}  # fmt: skip
        table = pd.read_csv(
            folder / f"{name}.csv", keep_default_na=False, na_values=[""], dtype=text
        )
        _check_columns(folder / f"{name}.csv", table, columns)
        kept: dict[Any, Any] = dict.fromkeys((each for each in _TEXTS if each in table), "")
        return table.fillna(kept)

    metrics = read_metrics(folder / "metrics.csv")
    _check_columns(folder / "metrics.csv", metrics, COLUMNS)
    effects, verdicts = read("effects", EFFECTS), read("emergence", EMERGENCE)
    spread = read("sensitivity", SENSITIVITY)
    return Tables(study, metrics, effects, verdicts, spread, sums, unfinished)


_TEXTS = ("wording", "scoring", "stage", "subset", "untested", "unfinished")
"""Columns in which an empty cell is an empty string, not a missing value."""


def _check_columns(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in table]:
        raise ScrupleError(
            f"{path}: lacks the columns {', '.join(missing)}: it was written by an older version. "
            "Run again without `--rerun-triggers`; responses are kept."
        )
