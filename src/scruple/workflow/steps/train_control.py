"""Train one checkpoint of the control family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scruple.control.family import train_member
from scruple.control.members import STEPS, Member
from scruple.progress import bar
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Train the member and save a checkpoint at each step of STEPS."""
    with job(snakemake) as log:
        wanted = snakemake.wildcards
        member = Member(wanted.twin, int(wanted.seed), int(wanted.width))
        folder = Path(snakemake.output[0]).parents[1]
        train_member(member, folder, bar(member.title, STEPS[-1], "step"))
        log.info("%s: trained", member.title)
