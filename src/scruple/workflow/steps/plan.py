"""Print what a study would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.costs.report import told
from scruple.progress import bar
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Print prompts, tokens, memory and hours per checkpoint and benchmark."""
    with job(snakemake) as log:
        tables = {name: Path(path) for name, path in snakemake.params.tables.items()}
        study = load_study(snakemake.config)
        text = told(study, tables, Path("results") / study.study / "plan", bar)
        print(text, flush=True)
        log.info("planned")
