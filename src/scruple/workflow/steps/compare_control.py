"""Compare control checkpoints trained here with those that come with the project."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.control.criteria import judge, load_criteria
from scruple.control.ship import compare, read_shipped
from scruple.files import whole
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Log which criteria are met, and write each bias next to that of the shipped family."""
    with job(snakemake) as log:
        criteria = load_criteria()
        trained = pd.concat(
            [pd.read_csv(path) for path in snakemake.input.tables], ignore_index=True
        )
        table = compare(trained, read_shipped("check"), criteria["margins"])
        for verdict in judge(trained, criteria):
            state = "met" if verdict.met else "MISSED"
            log.info("seed %d, %s: %s (%s)", verdict.seed, verdict.criterion, state, verdict.detail)
        within, largest = table["within"].sum(), table["change"].abs().max()
        log.info("%d of %d biases are within their margin of the shipped ones", within, len(table))
        log.info("the largest difference is %.4f", largest)
        with whole(snakemake.output[0]) as part:
            table.to_csv(part, index=False)
