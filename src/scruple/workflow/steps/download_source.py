"""Fetch one benchmark file from the mirror or the network, and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.fetch.sources import fetch, files_of
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Copy the file from the mirror or download it, and verify its hash."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        wanted = snakemake.wildcards
        benchmark = next(
            entry
            for entry in study.benchmarks
            if (entry.kind, entry.source) == (wanted.kind, wanted.source)
            and any(file.name == wanted.file for file in files_of(study, entry))
        )
        file = next(file for file in files_of(study, benchmark) if file.name == wanted.file)
        fetch(study, benchmark, file, Path(snakemake.output[0]), log.info)
