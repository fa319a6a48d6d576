"""Record the declaration of a study; see `scruple.study.declaration`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.files import write_json
from scruple.study.declaration import declare, timing
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Add the declaration to the study's history if it is new, and write the history."""
    with job(snakemake) as log:
        target = Path(snakemake.output[0])
        history = declare(load_study(snakemake.config), target.parent)
        log.info("%s", timing(history))
        write_json(target, history)
