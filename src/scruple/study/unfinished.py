"""Jobs that did not finish, and the remarks about them in figures and report.

A run with `only_finished` runs no trials. It makes everything else from the finished responses, and
each output states what did not finish. This module is fast to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scruple import texts
from scruple.study.model import Study
from scruple.study.types import Job

Unfinished = Mapping[str, Sequence[str]]
"""`<family>/<checkpoint>` → the benchmarks for which it has no responses."""


def has_responses(study: str, job: Job) -> bool:
    """Return whether a job's table of responses and its record exist."""
    table = Path("results", study, "responses", *job)
    return all(table.with_name(f"{job[2]}.{kind}").is_file() for kind in ("parquet", "json"))


def by_checkpoint(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Group jobs as `<family>/<checkpoint>` → benchmarks."""
    found: dict[str, list[str]] = {}
    for family, checkpoint, benchmark in jobs:
        found.setdefault(f"{family}/{checkpoint}", []).append(benchmark)
    return found


def told(study: Study, unfinished: Unfinished) -> dict[str, str]:
    """Return family → its unfinished checkpoints as text, for example `b, c (bbq)`.

    Benchmarks are named if the checkpoint has finished others.
    """
    found: dict[str, list[str]] = {}
    for place, benchmarks in unfinished.items():
        family, checkpoint = place.split("/")
        some = len(benchmarks) < len(study.benchmarks)
        said = f"{checkpoint} ({', '.join(benchmarks)})" if some else checkpoint
        found.setdefault(family, []).append(said)
    return {family: ", ".join(names) for family, names in found.items()}


def notes_of(study: Study, unfinished: Unfinished) -> dict[str, str]:
    """Return family → remark: the family's `note`, and its checkpoints that did not finish."""
    missing = told(study, unfinished)
    notes = {}
    for family in study.families:
        names = missing.get(family.name, "")
        lacking = texts.FAMILY_NOT_FINISHED.format(checkpoints=names) if names else ""
        if said := "; ".join(filter(None, (family.note, lacking))):
            notes[family.name] = said
    return notes
