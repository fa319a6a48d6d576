"""Make a checkpoint's files local and write its manifest."""

from __future__ import annotations

import time
from typing import Any

from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Download the checkpoint if it is on the hub, hash its files and write the manifest."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        wanted = snakemake.wildcards
        checkpoint = study.checkpoint(wanted.family, wanted.checkpoint)
        # a file that changes after this time is hashed again before it is used
        hashed = time.time_ns()
        writing = study.writing(wanted.family, wanted.checkpoint)
        manifest = fetch_checkpoint(checkpoint, log.info, study.hub, writing=writing)
        manifest.written_to(snakemake.output[0], hashed)
