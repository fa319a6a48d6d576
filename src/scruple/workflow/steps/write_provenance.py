"""Record what the results came from: config, data, weights, software, hardware, cost."""

from __future__ import annotations

from typing import Any

from scruple.files import write_json
from scruple.workflow.provenance import provenance
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Write the provenance as JSON: config, items, manifests, job records, versions."""
    with job(snakemake) as log:
        record = provenance(
            snakemake.params.study,
            items=snakemake.input.tables,
            left_out=snakemake.input.left_out,
            checkpoints=snakemake.input.checkpoints,
            records=snakemake.input.records,
            unfinished=snakemake.params.unfinished,
        )
        log.info("%.0f seconds of responses", record["seconds"])
        write_json(snakemake.output[0], record)
