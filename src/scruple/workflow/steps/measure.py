"""Compute the metrics of one checkpoint, or of several tiny ones, on one benchmark."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.analysis.metrics import join, measure
from scruple.analysis.sums import sums_table
from scruple.files import whole
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Run the rule; `snakemake` is the object that a script gets from it."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        wanted = snakemake.params
        items = pd.read_parquet(snakemake.input.table)
        files = (snakemake.input.responses, snakemake.output.metrics, snakemake.output.sums)
        listed = [[paths] if isinstance(paths, str) else paths for paths in files]
        kind = study.benchmark(wanted.benchmark).kind
        for (name, place), source, target, sums in zip(wanted.places.items(), *listed, strict=True):
            keys = {
                "family": wanted.family, "checkpoint": name, "benchmark": wanted.benchmark, **place
            }  # fmt: skip
            responses = pd.read_parquet(source)
            table = measure(kind, items, responses, keys)
            log.info("%s: %d metrics of %d responses", name, len(table), len(responses))
            with whole(target) as part:
                table.to_csv(part, index=False)
            with whole(sums) as part:
                sums_table(kind, join(items, responses)).to_parquet(part, index=False)
