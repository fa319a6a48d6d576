"""What a run does before its first job; dry runs do not get here."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.machine.slurm import check_cluster
from scruple.study.declaration import declare
from scruple.workflow.claims import take_over
from scruple.workflow.graph import Plan
from scruple.workflow.preflight import check_manifests, preflight
from scruple.workflow.unfinished import refuse_asking


def start(
    plan: Plan,
    jobs: Sequence[tuple[str, Mapping[str, str], Sequence[Any]]],
    deployed: Collection[Any],
    gpu_limit: int | None,
    executor: str,
    partitions: Collection[str],
    local: bool,
) -> None:
    """Check the run, claim its outputs, print its expected time, and record the declaration.

    Args:
        plan: the checked study.
        jobs: rule, wildcards and output of every job of the run.
        deployed: snakemake's software deployment methods in this run, if any.
        gpu_limit: GPUs that all jobs together may use at once; None for no limit.
        executor: the snakemake executor: `local`, `slurm` and so on.
        partitions: the Slurm partitions of the jobs.
        local: whether the jobs run on this machine.

    Raises:
        ScrupleError: if the run cannot succeed; the message names what is missing and the remedies.
    """
    if plan.study.only_finished:
        refuse_asking(jobs)
    named = [(rule, wildcards) for rule, wildcards, _ in jobs]
    asked = plan.asking.asked(named)
    if local:  # on a cluster the limit applies to each group of jobs
        plan.resources.refuse_beyond(gpu_limit, asked)
    if asked:
        check_cluster(executor, partitions)
        fetched = {
            (w["family"], w["checkpoint"]) for rule, w in named if rule == "fetch_checkpoint"
        }
        check_manifests(
            plan.study, dict.fromkeys(job[:2] for job in asked if job[:2] not in fetched)
        )
    preflight(plan.study, {rule for rule, *_ in jobs}, deployed, asked if local else [])
    if asked:
        take_over(plan.asking.claims(named))
        from scruple.costs.needs import summary  # imports pandas, which is slow

        tables = {name: Path(path) for name, path in plan.item_tables().items()}
        print(summary(plan.study, tables, asked, local), file=sys.stderr)
    if {rule for rule, *_ in jobs} != {"plan"}:  # the target `plan` only prints
        declare(plan.study, Path("results") / plan.study.study)
