"""Time snakemake's dry run of a graph of 5,000 jobs, relative to plain Snakefiles.

    python bench/graph.py

The graph is that of a study with many checkpoints. The floors are a plain Snakefile with rules of
the same shape: once with a single job that collects all tables, once with as many as a study has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from common import machine, summary, write
import pandas as pd
import yaml

from scruple.study.model import ROOT, read_yaml

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
"""Jobs of a study with an input file per checkpoint and benchmark: figures, tables, report."""
PARSE = """
import sys, yaml
from scruple.workflow.graph import Plan
from scruple.study.model import ROOT, read_yaml
Plan(read_yaml(ROOT / "config.yaml") | yaml.safe_load(open(sys.argv[1])))
"""


def sides(folder: Path, checkpoints: int) -> dict[str, list[str]]:
    """Write a study of many runs of a checkpoint and the plain Snakefile; return name → command."""
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
    """Run a command in a folder; return its wall and CPU seconds, peak memory (MB) and the load."""
    # Start it from a small process: until exec, a child's peak memory includes its parent's.
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
    """Create minimal output files for a dry run's graph, with snakemake's metadata for each."""
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
    """Time all commands in alternating rounds, first with everything to do, then with nothing."""
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
                if number:  # the first round is a warm-up
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
    """Run the rounds, print the results and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=714, help="seven jobs of the graph each")
    parser.add_argument("--out", type=Path, default=Path("bench/results/graph.json"))
    args = parser.parse_args()
    found = graph(args.rounds, args.checkpoints)
    for side, numbers in found.items():
        print(side, {part: list(map("{:.3g}".format, n.values())) for part, n in numbers.items()})
    write(args.out, {"graph": found, "machine": machine()})


if __name__ == "__main__":
    main()
