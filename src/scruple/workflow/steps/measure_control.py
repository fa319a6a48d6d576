"""Measure one checkpoint of the control family on a large part of its world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.control.measure import EFFORTS, measure_member
from scruple.control.members import Member
from scruple.files import whole
from scruple.progress import bar
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Ask the checkpoint the items of the `effort` wildcard and write its metrics."""
    with job(snakemake) as log:
        wanted = snakemake.wildcards
        member = Member(wanted.twin, int(wanted.seed), int(wanted.width))
        folder = Path(snakemake.input[0]).parent
        table = measure_member(member, int(wanted.step), folder, EFFORTS[wanted.effort], bar)
        log.info("%s, step %s: %d rows", member.title, wanted.step, len(table))
        with whole(snakemake.output[0]) as part:
            table.to_csv(part, index=False)
