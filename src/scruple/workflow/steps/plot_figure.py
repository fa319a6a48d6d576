"""Draw one figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.figures import draw
from scruple.figures.results import read_tables
from scruple.figures.style import save
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Run the rule; `snakemake` is the object that a script gets from it."""
    with job(snakemake) as log:
        jobs = map(tuple, snakemake.params.jobs)
        tables = read_tables(
            load_study(snakemake.config),
            Path(snakemake.input.tables[0]).parent,
            dict(zip(jobs, map(Path, snakemake.input.sums), strict=True)),
            snakemake.params.unfinished,
        )
        save(draw(snakemake.wildcards.figure, tables), snakemake.output)
        log.info("drew %s", ", ".join(snakemake.output))
