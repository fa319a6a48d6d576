"""Collect the metrics of all checkpoints and benchmarks in one table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.files import whole
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Concatenate the metrics tables of all jobs, cell by cell as text."""
    with job(snakemake) as log:
        # cells are read as text, so that no number is rounded or reformatted
        tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in snakemake.input]
        table = pd.concat(tables, ignore_index=True)
        log.info("%d metrics", len(table))
        with whole(snakemake.output[0]) as part:
            table.to_csv(part, index=False)
