"""Compute the metrics of one checkpoint, or of several tiny ones, on one benchmark."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.analysis.metrics import join, metrics_table, tallies
from scruple.analysis.sums import sums_table
from scruple.files import whole
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Reduce each checkpoint's responses to a metrics table and a table of sums."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        wanted = snakemake.params
        items = pd.read_parquet(snakemake.input.table)
        files = (snakemake.input.responses, snakemake.output.metrics, snakemake.output.sums)
        listed = [[paths] if isinstance(paths, str) else paths for paths in files]
        benchmark = study.benchmark(wanted.benchmark)
        shared = {
            "family": wanted.family,
            "benchmark": wanted.benchmark,
            "language": study.language_of(benchmark),
        }
        for (name, place), source, target, sums in zip(wanted.places.items(), *listed, strict=True):
            responses = pd.read_parquet(source)
            tallied = tallies(benchmark.kind, join(items, responses))
            table = metrics_table(benchmark.kind, tallied, {**shared, "checkpoint": name, **place})
            log.info("%s: %d metrics of %d responses", name, len(table), len(responses))
            with whole(target) as part:
                table.to_csv(part, index=False)
            with whole(sums) as part:
                sums_table(tallied).to_parquet(part, index=False)
