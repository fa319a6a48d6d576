"""Compute the metrics of one checkpoint, or of several tiny ones, on one benchmark."""

import pandas as pd

from scruple.jobs import job, whole
from scruple.metrics import measure
from scruple.study import load_study

with job(snakemake) as log:
    study = load_study(snakemake.config)
    wanted = snakemake.params
    items = pd.read_parquet(snakemake.input.table)
    paths = snakemake.input.responses
    listed = [paths] if isinstance(paths, str) else paths
    for (name, place), source, target in zip(
        wanted.places.items(), listed, snakemake.output, strict=True
    ):
        keys = {
            "family": wanted.family, "checkpoint": name, "benchmark": wanted.benchmark, **place
        }  # fmt: skip
        responses = pd.read_parquet(source)
        table = measure(study.benchmark(wanted.benchmark).kind, items, responses, keys)
        log.info("%s: %d metrics of %d responses", name, len(table), len(responses))
        with whole(target) as part:
            table.to_csv(part, index=False)
