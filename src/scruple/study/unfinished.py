"""Jobs of responses that did not finish: which they are, and what is said of them.

A run that is told to take `only_finished` asks nothing. It makes everything else from the responses
that are there, and everything that it makes says which are not. Cheap to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scruple import texts
from scruple.study.model import Study
from scruple.study.types import Job

Unfinished = Mapping[str, Sequence[str]]
"""`<family>/<checkpoint>` → the benchmarks of which it has no responses."""


def has_responses(study: str, job: Job) -> bool:
    """Tell whether a job's table of responses and its record are there."""
    table = Path("results", study, "responses", *job)
    return all(table.with_name(f"{job[2]}.{kind}").is_file() for kind in ("parquet", "json"))


def by_checkpoint(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Return jobs as `<family>/<checkpoint>` → benchmarks."""
    found: dict[str, list[str]] = {}
    for family, checkpoint, benchmark in jobs:
        found.setdefault(f"{family}/{checkpoint}", []).append(benchmark)
    return found


def told(study: Study, unfinished: Unfinished) -> dict[str, str]:
    """Return, by family, which checkpoints did not finish: `b, c (bbq)`; c has finished others."""
    found: dict[str, list[str]] = {}
    for place, benchmarks in unfinished.items():
        family, checkpoint = place.split("/")
        some = len(benchmarks) < len(study.benchmarks)
        said = f"{checkpoint} ({', '.join(benchmarks)})" if some else checkpoint
        found.setdefault(family, []).append(said)
    return {family: ", ".join(names) for family, names in found.items()}


def notes_of(study: Study, unfinished: Unfinished) -> dict[str, str]:
    """Return what must be said of families: their notes, and what of them did not finish."""
    missing = told(study, unfinished)
    notes = {}
    for family in study.families:
        names = missing.get(family.name, "")
        lacking = texts.FAMILY_NOT_FINISHED.format(checkpoints=names) if names else ""
        if said := "; ".join(filter(None, (family.note, lacking))):
            notes[family.name] = said
    return notes
