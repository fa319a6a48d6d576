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
    """Draw the figure from the tables and sums, and save it as PNG, SVG and PDF."""
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
