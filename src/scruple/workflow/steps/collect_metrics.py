"""Put the metrics of all checkpoints and benchmarks into one table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.files import whole
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Run the rule; `snakemake` is the object that a script gets from it."""
    with job(snakemake) as log:
        # cells stay the text that they are: no number changes on its way into the table
        tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in snakemake.input]
        table = pd.concat(tables, ignore_index=True)
        log.info("%d metrics", len(table))
        with whole(snakemake.output[0]) as part:
            table.to_csv(part, index=False)
