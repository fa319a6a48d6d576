"""Ask one checkpoint, or several tiny ones, all trials of one benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scruple.checkpoints.manifest import Manifest
from scruple.files import sweep, write_json
from scruple.machine.gpus import lease
from scruple.progress import bar
from scruple.responses.job import ask_checkpoint
from scruple.responses.shards import WHOLE, Shard
from scruple.study.model import load_study
from scruple.workflow.claims import claim_of, sole
from scruple.workflow.provenance import Run
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Claim the outputs, lease GPUs, ask each checkpoint, and write responses and records."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        claim = claim_of(study.study, snakemake.rule, snakemake.wildcards)
        assert claim is not None  # only rules that ask use this step
        wanted, output = snakemake.params, snakemake.output
        named = snakemake.wildcards.get("shard")
        shard = Shard.named(named) if named else WHOLE
        files = (snakemake.input.checkpoints, output.responses, output.records)
        listed = [[paths] if isinstance(paths, str) else paths for paths in files]
        with sole(claim, log), lease(snakemake.resources.gpu, log) as gpus:
            items = pd.read_parquet(snakemake.input.table)
            for manifest, responses, record in zip(*listed, strict=True):
                sweep(responses)
                sweep(record)
                here, found = Run(gpus), Manifest.read(manifest)
                found.check(study.checkpoint(wanted.family, Path(manifest).stem))
                facts = ask_checkpoint(
                    study, wanted.family, wanted.benchmark, items, found,
                    snakemake.threads, len(gpus), Path("results/store"), Path(responses), bar, log,
                    shard,
                )  # fmt: skip
                write_json(record, {**facts, "shards": 1, "runs": [here.ended()]})
