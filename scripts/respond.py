"""Ask one checkpoint, or several tiny ones, all that a study wants to know of one benchmark."""

import json
from pathlib import Path

import pandas as pd

from scruple.asking import ask_checkpoint
from scruple.jobs import bar, job, whole
from scruple.study import load_study

with job(snakemake) as log:
    study = load_study(snakemake.config)
    wanted, output = snakemake.params, snakemake.output
    items = pd.read_parquet(snakemake.input.table)
    files = (snakemake.input.checkpoints, output.responses, output.records)
    listed = [[paths] if isinstance(paths, str) else paths for paths in files]
    for manifest, responses, record in zip(*listed, strict=True):
        description = json.loads(Path(manifest).read_text(encoding="utf-8"))
        facts = ask_checkpoint(
            study, wanted.family, wanted.benchmark, items, description, snakemake.threads,
            snakemake.resources.gpu, Path("results/store"), Path(responses), bar, log,
        )  # fmt: skip
        with whole(record) as part:
            part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
