"""A job that is killed at random moments: what is lost, what is computed twice, what comes out.

    python bench/kills.py --data FOLDER

One run of SmolLM2-135M-Instruct (scored and sampled conditions of some BBQ items) is killed with
SIGKILL again and again and started again each time; then it may finish. Its table is compared with
that of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

from common import (
    Recorded,
    items_of,
    machine,
    manifest_of,
    save,
    saved_study,
    silent,
    some,
    write,
)
import pandas as pd

from scruple.engines import Engine, load_engine
from scruple.responses import job
from scruple.responses.table import KEYS
from scruple.study.model import Study

CONDITIONS = ["q", "q+if", "q+if+cot"]
BBQ = {"name": "bbq", "categories": ["Age"]}


class Counted(Recorded):
    """An engine that writes down when it is ready, and how many results came at a time."""

    def __init__(self, engine: Engine, file: TextIO) -> None:
        """Wrap an engine."""
        super().__init__(engine)
        self._file = file
        self._write("ready", time.time())

    def score(self, requests: Any, finished: Any) -> Any:
        """Ask the engine."""
        return super().score(requests, self._counting("score", finished))

    def generate(self, requests: Any, decoding: Any, finished: Any) -> Any:
        """Ask the engine."""
        return super().generate(requests, decoding, self._counting("generate", finished))

    def _counting(self, kind: str, finished: Any) -> Any:
        def passed_on(found: Any) -> None:
            self._write(kind, len(found))
            finished(found)

        return passed_on

    def _write(self, what: str, number: float) -> None:
        self._file.write(json.dumps([what, number]) + "\n")


def study(folder: Path) -> Study:
    """Return what is asked of the checkpoint that lies in a folder's `model`."""
    decoding = {"max_new_tokens": 24}
    return saved_study(BBQ, CONDITIONS, folder / "model", decoding=decoding)


def work(folder: Path, store: Path, target: Path, counts: Path) -> None:
    """Run the job once."""
    with open(counts, "a", buffering=1) as file:
        job.load_engine = lambda *args: Counted(load_engine(*args), file)
        job.ask_checkpoint(
            study(folder), "smollm2", "bbq", pd.read_parquet(folder / "items.parquet"),
            manifest_of(study(folder)), 2, 0, store, target, silent, logging.getLogger(),
        )  # fmt: skip


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start the job as a process of its own."""
    paths = (folder, folder / f"{name}-store", folder / f"{name}.parquet", folder / f"{name}.jsonl")
    return subprocess.Popen([sys.executable, __file__, "--work", *map(str, paths)])


def counts_of(path: Path) -> dict[str, float]:
    """Return how many results were computed in all, and when the first engine was ready."""
    totals: dict[str, float] = {}
    for what, number in map(json.loads, path.read_text().splitlines()):
        if what == "ready":
            totals.setdefault(what, number)
        else:
            totals[what] = totals.get(what, 0) + number
    return totals


def starts_of(path: Path) -> int:
    """Return how often an engine was ready."""
    return path.read_text().count("ready") if path.exists() else 0


def main() -> None:
    """Kill, compare, print, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--work", nargs=4, type=Path, help=argparse.SUPPRESS)
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--items", type=int, default=48)
    options.add_argument("--kills", type=int, default=30)
    options.add_argument("--out", type=Path, default=Path("bench/results/kills.json"))
    args = options.parse_args()
    if args.work:
        work(*args.work)
        return
    with tempfile.TemporaryDirectory() as name:
        result = killed(Path(name), args)
    print(json.dumps(result, indent=2))
    write(args.out, result | {"machine": machine()})


def killed(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the counts of kills and of work, and the differences between the tables."""
    save(folder / "model")
    some(items_of(study(folder), args.data), args.items, 0).to_parquet(folder / "items.parquet")
    assert start(folder, "calm").wait() == 0
    undisturbed = counts_of(folder / "calm.jsonl")
    at_work = time.time() - undisturbed.pop("ready")
    moments = random.Random(0)
    kills = 0
    while kills < args.kills:
        process = start(folder, "killed")
        while process.poll() is None and starts_of(folder / "killed.jsonl") <= kills:
            time.sleep(0.05)
        try:
            # up to four times its share of the work: so that it is killed all along
            process.wait(moments.uniform(0, 4 * at_work / args.kills))
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert start(folder, "killed").wait() == 0
    in_all = counts_of(folder / "killed.jsonl")
    calm, other = (
        pd.read_parquet(folder / f"{run}.parquet").sort_values(KEYS).reset_index(drop=True)
        for run in ("calm", "killed")
    )
    numbers = [name for name in calm.columns if name.startswith(("logprob", "valid"))]
    return {
        "kills": kills,
        "rows": len(calm),
        "same_keys": bool(calm[KEYS].equals(other[KEYS])),
        "same_reasoning": bool(calm["reasoning"].equals(other["reasoning"])),
        "same_answers": bool(calm["answer"].equals(other["answer"])),
        "largest_difference": float((calm[numbers] - other[numbers]).abs().max().max()),
        "computed_undisturbed": undisturbed,
        "computed_in_all": {kind: in_all[kind] for kind in undisturbed},
        "seconds_at_work_undisturbed": round(at_work, 1),
    }


if __name__ == "__main__":
    main()
