"""Jobs of responses that did not finish: which they are, and what is said of them.

A run that is told to take `only_finished` asks nothing. It makes everything else from the responses
that are there, and everything that it makes says which are not. Cheap to import.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.study import Study

Job = tuple[str, str, str]
"""Family, checkpoint and benchmark."""
Unfinished = Mapping[str, Sequence[str]]
"""`<family>/<checkpoint>` → the benchmarks of which it has no responses."""

ASKING = ("respond", "fetch_checkpoint", "download_source", "build_items")
"""Rules (how their names begin) that ask, fetch, or make what was asked anew."""


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
        lacking = f"not finished: {missing[family.name]}" if family.name in missing else ""
        if said := "; ".join(filter(None, (family.note, lacking))):
            notes[family.name] = said
    return notes


def refuse_asking(jobs: Iterable[tuple[str, Any, Sequence[Any]]]) -> None:
    """Refuse a run that takes only what is finished and would ask some of it again.

    Args:
        jobs: rule, wildcards and output of every job that the run would do.

    Raises:
        ScrupleError: naming some of what would be asked or fetched.
    """
    outputs = {str(files[0]) for name, _, files in jobs if name.startswith(ASKING)}
    if not outputs:
        return
    first = sorted(outputs)[:3]
    more = f" and {len(outputs) - len(first)} more" if len(outputs) > len(first) else ""
    raise ScrupleError(
        "config: `only_finished` takes finished responses as they are and asks nothing, and this "
        f"run would make again {', '.join(first)}{more}: what they depend on (the config, prompts, "
        "items, a checkpoint's files, the program) has changed since, or their job was killed. "
        "Take the change back, or run without `only_finished`; `--keep-going` goes on where a "
        "checkpoint fails."
    )


def advice(
    missing: Sequence[Job], snakefile: str, overlays: Iterable[str], options: Mapping[str, Any]
) -> str:
    """Return what to say after a run that failed: what is not there, and what can be made.

    Args:
        missing: the jobs that have no responses.
        snakefile: the workflow's file.
        overlays: files that were given with --configfile.
        options: what was given with --config.
    """
    command = ["snakemake", "--cores", "all"]
    if Path(snakefile).resolve().parent != Path.cwd():
        command += ["-s", os.path.relpath(snakefile)]
    if overlays := list(overlays):
        command += ["--configfile", *overlays]
    given = {**options, "only_finished": True}
    command += ["--config", *(f"{key}={_written(value)}" for key, value in given.items())]
    names = [f"{place} ({', '.join(b)})" for place, b in by_checkpoint(missing).items()]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"No responses yet: {', '.join(names[:5])}{more}. To make figures and report of what is "
        f"finished:\n  {shlex.join(command)}"
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
