"""Write the report as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.figures.results import read_tables
from scruple.files import read_json, whole
from scruple.report.browse import browse
from scruple.report.write import Material, write_page
from scruple.study.declaration import timing
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Combine tables, figures, responses, declaration and provenance into one HTML page."""
    with job(snakemake) as log:
        given, study = snakemake.input, load_study(snakemake.config)
        jobs = [tuple(key) for key in snakemake.params.jobs]
        folder = Path(given.tables[0]).parent
        sums = dict(zip(jobs, map(Path, given.sums), strict=True))
        material = Material(
            tables=read_tables(study, folder, sums, snakemake.params.unfinished),
            folder=folder,
            figures={Path(path).stem: Path(path) for path in given.figures},
            browser=browse(
                study,
                {Path(path).stem: Path(path) for path in given.asked},
                dict(zip(jobs, map(Path, given.responses), strict=True)),
            ),
            declared=timing(read_json(given.declaration)),
            provenance=read_json(given.provenance),
        )
        page = write_page(material)
        log.info("%s: %.1f MB", snakemake.output[0], len(page.encode()) / 1e6)
        with whole(snakemake.output[0]) as part:
            part.write_text(page, encoding="utf-8")
