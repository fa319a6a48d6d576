"""Combine the shards of a table of responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.files import read_json, write_json
from scruple.responses.shards import gather_records, gather_tables
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Concatenate the shards' tables of responses and combine their records."""
    with job(snakemake):
        wanted, output = snakemake.input, snakemake.output
        gather_tables([Path(path) for path in wanted.responses], Path(output.responses))
        records = [read_json(path) for path in wanted.records]
        write_json(output.records, gather_records(records))
