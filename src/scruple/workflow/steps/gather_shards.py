"""Put the shards of a table of responses together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scruple.files import whole
from scruple.responses.shards import gather_records, gather_tables
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Run the rule; `snakemake` is the object that a script gets from it."""
    with job(snakemake):
        wanted, output = snakemake.input, snakemake.output
        gather_tables([Path(path) for path in wanted.responses], Path(output.responses))
        records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in wanted.records]
        with whole(output.records) as part:
            part.write_text(json.dumps(gather_records(records), indent=2) + "\n", encoding="utf-8")
