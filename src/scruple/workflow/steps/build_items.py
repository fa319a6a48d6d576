"""Read a benchmark's files into its table of items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import draw
from scruple.files import whole
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Write a benchmark's sampled items, and the items left out with the reasons."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        entry = study.benchmark(snakemake.wildcards.benchmark)
        module = benchmark_module(entry.kind)
        items = module.read([Path(path) for path in snakemake.input], entry)
        for reason, count in items.left_out["reason"].value_counts().items():
            log.info("%s: %d items are left out: %s", entry.name, count, reason)
        table = draw(items.table, module.SAMPLING_UNIT, entry.max_items, study.seed, module.STRATA)
        log.info("%s: %d of %d usable items are asked", entry.name, len(table), len(items.table))
        with whole(snakemake.output.table) as part:
            table.to_parquet(part, index=False)
        with whole(snakemake.output.left_out) as part:
            items.left_out.to_csv(part, index=False)
