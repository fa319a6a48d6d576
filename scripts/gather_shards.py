"""Put the shards of a table of responses together."""

import json
from pathlib import Path

from scruple.files import whole
from scruple.responses.shards import gather_records, gather_tables
from scruple.workflow.script import job

with job(snakemake):
    wanted, output = snakemake.input, snakemake.output
    gather_tables([Path(path) for path in wanted.responses], Path(output.responses))
    records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in wanted.records]
    with whole(output.records) as part:
        part.write_text(json.dumps(gather_records(records), indent=2) + "\n", encoding="utf-8")
