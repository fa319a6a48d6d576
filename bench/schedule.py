"""How well jobs fill 1, 8 and 64 GPUs by the plan's hours, and what a graph of 5,000 jobs costs.

    python bench/schedule.py               # the model of studies on GPUs, and then the graph
    python bench/schedule.py --rounds 0    # the model alone: seconds

The model takes hours from the plan, which nothing has measured on a card. It knows of no failures,
no other users and no downloads, and statistics cost nothing. The graph is snakemake's dry run of a
study of many checkpoints, beside plain Snakefiles with rules of the same shape: one collects all
tables once, the other as often as a study does.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from common import machine, summary, write
import pandas as pd
import yaml

from scruple.costs.cards import card_of
from scruple.costs.demand import SHORT_MINUTES
from scruple.costs.need import BYTES, Card, need
from scruple.costs.workload import estimate
from scruple.shards import count_shards
from scruple.study import ROOT, Study, load_study, read_yaml

IMPORT_S = 20.0
"""Assumed: Python, PyTorch and the GPU's context, at each job."""
LOAD_GBS = 1.0
"""Assumed: 10^9 bytes of weights a second, from a shared disk."""
SUBMIT_S = 20.0
"""Assumed: what Slurm and snakemake take for each job that is submitted."""
NODE = 8
"""GPUs of a node; a job's GPUs are on one."""
TOGETHER = 6
"""Short jobs that share a place in the queue, as in profiles/slurm."""
LIMITS = (math.inf, 4.0, 2.0, 1.0, 0.5)
"""Hours of `compute.shard_hours`."""
FORTY = ("pythia", "pythia-deduped", "qwen2.5", "olmo2", "smollm2")
"""Families of the large study, in whose order the first 40 checkpoints within 14e9 are taken."""


@dataclass(frozen=True)
class Job:
    """What is submitted: hours on so many GPUs, `start` of them before the first answer."""

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
    """Return a study with other settings of `compute`."""
    return study.model_copy(update={"compute": study.compute.model_copy(update=changed)})


def jobs_of(study: Study, card: Card, limit: float) -> list[Job]:
    """Return a study's jobs in the config's order, without what it takes to submit them."""
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
    """Return what is submitted, in the order in which it is: short jobs by six, or all alone."""
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
    """Start each job, in this order, as soon as a node has room; return what the time went into."""
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
    """Return one row per study, number of GPUs, order, limit and way of submitting."""
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


PLAIN = """
places = [f"{c:04d}/{b}" for c in range(config["checkpoints"]) for b in ("bbq", "w", "admissions")]
rule all:
    input: [f"out/collected/{k}.csv" for k in range(config["collectors"])]
rule items:
    output: "out/items/{b}.parquet"
    shell: "touch {output}"
rule fetch:
    output: "out/checkpoints/{c}.json"
    shell: "touch {output}"
rule respond:
    input: "out/items/{b}.parquet", "out/checkpoints/{c}.json"
    output: "out/responses/{c}/{b}.parquet", "out/responses/{c}/{b}.json"
    shell: "touch {output}"
rule measure:
    input: "out/items/{b}.parquet", "out/responses/{c}/{b}.parquet"
    output: "out/metrics/{c}/{b}.csv", "out/sums/{c}/{b}.parquet"
    shell: "touch {output}"
rule collect:
    input: [f"out/sums/{place}.parquet" for place in places]
    output: "out/collected/{k}.csv"
    shell: "touch {output}"
"""
COLLECTORS = 16
"""Figures, tables and report of a study: jobs that take a file of each checkpoint and benchmark."""
PARSE = """
import sys, yaml
from scruple.plan import Plan
from scruple.study import ROOT, read_yaml
Plan(read_yaml(ROOT / "config.yaml") | yaml.safe_load(open(sys.argv[1])))
"""


def sides(folder: Path, checkpoints: int) -> dict[str, list[str]]:
    """Write a study of many runs of one checkpoint and its plain peer; return commands by name."""
    config = read_yaml(ROOT / "studies/control.yaml")
    path = "data/control/positive/seed-11/d4/step3000"
    config["families"] = [{"name": "many", "format": "dialogue", "checkpoints": [
        {"name": f"run-{k:04d}", "params": 1604, "seed": k, "path": path}
        for k in range(checkpoints)
    ]}]  # fmt: skip
    config |= {"study": "many", "compute": {"share_below": 0}}
    (folder / "many.yaml").write_text(yaml.safe_dump(config))
    (folder / "Snakefile").write_text(PLAIN)
    snakemake = [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--quiet", "all"]
    ours = [*snakemake, "-s", str(ROOT / "Snakefile"), "--configfile", "many.yaml"]
    floor = [*snakemake, "--config", f"checkpoints={checkpoints}"]
    return {
        "floor": [*floor, "collectors=1", "-n"],
        "floor, collected as often": [*floor, f"collectors={COLLECTORS}", "-n"],
        "ours": [*ours, "-n"],
        "ours, the Snakefile read alone": [*ours, "--list-rules"],
        "ours, the plan made alone": [sys.executable, "-c", PARSE, "many.yaml"],
    }


TIMED = """
import json, os, resource, subprocess, sys, time
start = time.perf_counter()
with open("log", "w") as log:
    done = subprocess.run(sys.argv[1:], stdout=log, stderr=log)
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"s": wall, "cpu_s": cpu, "mb": used.ru_maxrss / 1e3, "load": os.getloadavg()[0]}))
sys.exit(done.returncode)
"""


def timed(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Run a command in a folder; return its seconds, its peak of memory in MB, and the load."""
    # by a small process: a child counts its parent's memory as its own peak until it is another
    timer = [sys.executable, "-S", "-c", TIMED, *command]
    told = subprocess.run(timer, cwd=folder, stdout=subprocess.PIPE, text=True)
    if told.returncode:
        raise SystemExit((folder / "log").read_text()[-2000:])
    return json.loads(told.stdout)


TOUCH = """
import sys, time
time.sleep = lambda _: None  # snakemake waits a tenth of a second for each file that it touches
from snakemake.cli import main
main(sys.argv[1:])
"""


def fill(command: Sequence[str], folder: Path) -> None:
    """Make all files of a dry run's graph, empty, with snakemake's record of each."""
    command = command[:-1]
    told = subprocess.run([*command, "--summary"], cwd=folder, capture_output=True, text=True)
    for line in told.stdout.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.name == "items" and path.suffix == ".parquet":
            pd.DataFrame({"item_id": ["one"]}).to_parquet(path)
        elif path.name != "declaration.json" and "\t" in line:
            path.write_text("{}")
    touch = ["--touch", "--forceall", "--cores", "999", "--resources", "gpu=999"]
    timed([sys.executable, "-c", TOUCH, *command[3:], *touch], folder)


def graph(rounds: int, checkpoints: int) -> dict[str, Any]:
    """Time both graphs, in turn, round by round: with everything to do, and with nothing."""
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = sides(folder, checkpoints)
        for state in ("all to do", "nothing to do"):
            if state == "nothing to do":
                commands = {side: commands[side] for side in list(commands)[1:3]}
                for command in commands.values():
                    fill(command, folder)
            for number, (side, command) in product(range(rounds + 1), commands.items()):
                one = timed(command, folder)
                print(number, side, state, one, flush=True)
                told = (folder / "log").read_text()
                if state == "nothing to do" and "Nothing to be done" not in told:
                    raise SystemExit(f"{side}: there is something to be done")
                if number:  # the first one warms up
                    found.setdefault(f"{side}, {state}", []).append(one)
    result: dict[str, Any] = {}
    for side, each in found.items():
        result[side] = {part: summary([one[part] for one in each]) for part in each[0]}
        base = found["floor, collected as often, " + side.split(", ")[-1]]
        for part in ("s", "cpu_s", "mb"):
            pairs = zip(each, base, strict=True)
            result[side][f"{part} to floor"] = summary([a[part] / b[part] for a, b in pairs])
    return result


def main() -> None:
    """Print the tables and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", help="of data/cards.yaml; by default the studies' own")
    parser.add_argument("--rounds", type=int, default=3, help="of the graph; 0 for none")
    parser.add_argument("--checkpoints", type=int, default=714, help="seven jobs of the graph each")
    parser.add_argument("--out", type=Path, default=Path("bench/results/schedule.json"))
    args = parser.parse_args()
    table = model(args.card)
    with pd.option_context("display.width", 200):
        print(table.round(3).to_string(index=False))
    dag = graph(args.rounds, args.checkpoints) if args.rounds else {}
    for side, numbers in dag.items():
        print(side, {part: list(map("{:.3g}".format, n.values())) for part, n in numbers.items()})
    rows = table.replace(math.inf, None).to_dict("records")
    write(args.out, {"model": rows, "graph": dag, "machine": machine()})


if __name__ == "__main__":
    main()
