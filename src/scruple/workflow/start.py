"""What happens once a real run is sure to start, before its first job."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.machine.slurm import check_cluster
from scruple.study.declaration import declare
from scruple.workflow.claims import take_over
from scruple.workflow.graph import Plan
from scruple.workflow.preflight import preflight
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
    """Refuse what cannot end well, say what is to come, and write down what was decided.

    Args:
        plan: the study.
        jobs: rule, wildcards and output of all that is to be done.
        deployed: the ways in which snakemake makes environments of its own, if any.
        gpu_limit: GPUs that all jobs may use at once, if there is a limit.
        executor: what does the jobs: `local`, `slurm` and so on.
        partitions: of Slurm, to which they go.
        local: whether that is on this machine.

    Raises:
        ScrupleError: with all that is missing and what can be done.
    """
    if plan.study.only_finished:
        refuse_asking(jobs)
    named = [(rule, wildcards) for rule, wildcards, _ in jobs]
    asked = plan.asking.asked(named)
    if local:  # elsewhere it is a limit for each group of jobs
        plan.resources.refuse_beyond(gpu_limit, asked)
    if asked:
        check_cluster(executor, partitions)
    preflight(plan.study, {rule for rule, *_ in jobs}, deployed, asked if local else [])
    if asked:
        take_over(plan.asking.claims(named))
        from scruple.costs.needs import summary  # pandas: not for every start

        tables = {name: Path(path) for name, path in plan.item_tables().items()}
        print(summary(plan.study, tables, asked, local), file=sys.stderr)
    if {rule for rule, *_ in jobs} != {"plan"}:  # which only prints
        declare(plan.study, Path("results") / plan.study.study)
