"""Compute the metrics of one checkpoint on one benchmark."""

import pandas as pd

from scruple.jobs import job, whole
from scruple.metrics import measure
from scruple.study import load_study

with job(snakemake) as log:
    study = load_study(snakemake.config)
    wanted = snakemake.wildcards
    keys = {
        "family": wanted.family,
        "checkpoint": wanted.checkpoint,
        "benchmark": wanted.benchmark,
        **snakemake.params.place,
    }
    items = pd.read_parquet(snakemake.input.table)
    responses = pd.read_parquet(snakemake.input.responses)
    table = measure(study.benchmark(wanted.benchmark).kind, items, responses, keys)
    log.info("%d metrics of %d responses", len(table), len(responses))
    with whole(snakemake.output[0]) as part:
        table.to_csv(part, index=False)
