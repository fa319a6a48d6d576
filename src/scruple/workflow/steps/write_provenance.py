"""Record what the results came from: config, data, weights, software, hardware, cost."""

from __future__ import annotations

import json
from typing import Any

from scruple.files import whole
from scruple.workflow.provenance import provenance
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Run the rule; `snakemake` is the object that a script gets from it."""
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
        with whole(snakemake.output[0]) as part:
            part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
