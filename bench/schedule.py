"""Model how well a study's jobs fill 1, 8 and 64 GPUs, with hours taken from the plan.

    python bench/schedule.py [--card h100-80]

These hours are estimates and have not been measured on a GPU. The model ignores failures, other
users, downloads and the time for statistics.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from common import write
import pandas as pd

from scruple.costs.cards import card_of
from scruple.costs.demand import SHORT_MINUTES
from scruple.machine.memory import BYTES
from scruple.costs.need import Card, need
from scruple.costs.workload import estimate
from scruple.workflow.resources import count_shards
from scruple.study.model import ROOT, Study, load_study, read_yaml

IMPORT_S = 20.0
"""Assumed seconds per job to start Python, PyTorch and the GPU context."""
LOAD_GBS = 1.0
"""Assumed rate of loading weights from a shared disk, in 10^9 bytes per second."""
SUBMIT_S = 20.0
"""Assumed seconds that Slurm and snakemake need per submitted job."""
NODE = 8
"""GPUs per node; all GPUs of a job are on one node."""
TOGETHER = 6
"""Number of short jobs per submitted group, as in profiles/slurm."""
LIMITS = (math.inf, 4.0, 2.0, 1.0, 0.5)
"""Values of `compute.shard_hours`."""
FORTY = ("pythia", "pythia-deduped", "qwen2.5", "olmo2", "smollm2")
"""Families of the large study, which takes their first 40 checkpoints up to 14e9 parameters."""


@dataclass(frozen=True)
class Job:
    """A submitted job: its GPUs and hours, of which `start` pass before the first answer."""

    name: str
    gpus: int
    hours: float
    start: float
    short: bool = False


def studies() -> Iterator[Study]:
    """Yield the studies: the default one, the full one, and one of 40 checkpoints."""
    config = read_yaml(ROOT / "config.yaml")
    yield load_study(config)
    yield load_study(config | read_yaml(ROOT / "studies/pythia-full.yaml"))
    config |= {"study": "forty", "families": list(FORTY), "max_params": 14 * 10**9}
    large, families, room = load_study(config), [], 40
    for family in large.families:
        taken = [one for one in family.checkpoints if one.shape][:room]
        families.append(family.model_copy(update={"checkpoints": tuple(taken)}))
        room -= len(taken)
    yield large.model_copy(update={"families": tuple(families)})


def with_compute(study: Study, **changed: Any) -> Study:
    """Return a study with changed `compute` settings."""
    return study.model_copy(update={"compute": study.compute.model_copy(update=changed)})


def jobs_of(study: Study, card: Card, limit: float) -> list[Job]:
    """Return a study's jobs in the config's order; their hours exclude submission."""
    study, found = with_compute(study, shard_hours=limit), []
    for member, benchmark in product(study.members(), study.benchmarks):
        work, place = estimate(study, benchmark), (*member, benchmark.name)
        shape = study.checkpoint(*member).shape
        assert shape is not None
        one = need(shape, work, "bfloat16", card)
        shards = count_shards(study, place, work, card)
        start = (IMPORT_S + shape.params() * BYTES["bfloat16"] / 1e9 / LOAD_GBS) / 3600
        short = one.hours * 60 <= SHORT_MINUTES and one.gpus == 1 and shards == 1
        job = Job("/".join(place[1:]), one.gpus, one.hours / shards + start, start, short)
        found += [job] * shards
    return found


def submitted(jobs: Sequence[Job], longest: bool, cluster: bool, grouped: bool) -> list[Job]:
    """Return the submitted jobs in order; on a cluster, short jobs may be grouped by six."""
    order = sorted(jobs, key=lambda job: -job.hours) if longest else list(jobs)
    if not cluster:
        return order
    many = [job for job in order if job.short and grouped]
    sets = [many[at : at + TOGETHER] for at in range(0, len(many), TOGETHER)]
    sets += [[job] for job in order if not (job.short and grouped)]
    sets.sort(key=lambda jobs: order.index(jobs[0]))
    wait = SUBMIT_S / 3600
    found = []
    for each in sets:
        start = wait + sum(job.start for job in each)
        name = each[0].name + (f" and {len(each) - 1} more" if len(each) > 1 else "")
        found.append(Job(name, each[0].gpus, wait + sum(job.hours for job in each), start))
    return sorted(found, key=lambda job: -job.hours) if longest else found


def run(jobs: Sequence[Job], gpus: int) -> dict[str, Any]:
    """Start each job in order as soon as a node has free GPUs; return hours and utilisation."""
    free = [min(NODE, gpus - first) for first in range(0, gpus, NODE)]
    waiting, running = list(jobs), []
    now = busy = partly = 0.0
    last = ""
    while waiting or running:
        left = []
        for job in waiting:
            rooms = [node for node, room in enumerate(free) if room >= job.gpus]
            if not rooms:
                left.append(job)
                continue
            node = min(rooms, key=lambda node: free[node])
            free[node] -= job.gpus
            heapq.heappush(running, (now + job.hours, len(left), job.name, node, job.gpus))
        if len(left) == len(waiting) and not running:
            raise SystemExit(f"{left[0].name} needs {left[0].gpus} GPUs of one node")
        waiting = left
        used = sum(entry[-1] for entry in running)
        end, _, last, node, freed = heapq.heappop(running)
        free[node] += freed
        busy += used * (end - now)
        partly += (end - now) * (used < gpus)
        now = end
    total = sum(job.gpus * job.hours for job in jobs)
    bound = max(total / gpus, max(job.hours for job in jobs))
    return {
        "hours": now, "bound": bound, "to_bound": now / bound, "busy": busy,
        "starts": sum(job.gpus * job.start for job in jobs), "idle": gpus * now - busy,
        "used": busy / gpus / now, "partly": partly, "last": last,
    }  # fmt: skip


def model(card: str | None) -> pd.DataFrame:
    """Return one row per study, number of GPUs, order, shard limit and way of submitting."""
    rows = []
    for study in studies():
        study = with_compute(study, card=card or study.compute.card)
        for limit, gpus in product(LIMITS, (1, 8, 64)):
            jobs = jobs_of(study, card_of(study), limit)
            ways = (False,) if gpus <= NODE else (False, True)
            for longest, grouped in product((False, True), ways):
                queue = submitted(jobs, longest, gpus > NODE, grouped)
                rows.append({
                    "study": study.study, "gpus": gpus, "shard_hours": limit,
                    "order": "longest" if longest else "config", "grouped": grouped,
                    "jobs": len(queue), **run(queue, gpus),
                })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", help="of data/cards.yaml; by default the studies' own")
    parser.add_argument("--out", type=Path, default=Path("bench/results/schedule.json"))
    args = parser.parse_args()
    table = model(args.card)
    with pd.option_context("display.width", 200):
        print(table.round(3).to_string(index=False))
    write(args.out, {"model": table.replace(math.inf, None).to_dict("records")})


if __name__ == "__main__":
    main()
