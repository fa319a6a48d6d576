"""Find the effects of a study's conditions, and where along its axes they emerge."""

import json
from pathlib import Path

import pandas as pd

from scruple.analysis import effects_table, emergence_table, measured
from scruple.declaration import timing
from scruple.jobs import job, whole
from scruple.study import load_study

with job(snakemake) as log:
    study = load_study(snakemake.config)
    history = json.loads(Path(snakemake.input.declaration).read_text(encoding="utf-8"))
    sums = {
        tuple(key): pd.read_parquet(path)
        for key, path in zip(snakemake.params.jobs, snakemake.input.sums, strict=True)
    }
    found = measured(study, sums)
    tables = {
        "effects": effects_table(study, found),
        "emergence": emergence_table(study, found, timing(history)),
    }
    log.info("%s; %d effects, %d verdicts", timing(history), *map(len, tables.values()))
    for name, table in tables.items():
        with whole(snakemake.output[name]) as part:
            table.to_csv(part, index=False)
