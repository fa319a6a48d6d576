"""Kill a job at random moments; measure the lost and repeated work, and compare the results.

    python bench/kills.py --data FOLDER

The job runs SmolLM2-135M-Instruct on some BBQ items, with scored and sampled conditions. It is
repeatedly killed with SIGKILL and restarted, and then allowed to finish. Its table is compared with
that of an uninterrupted run.
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
    """An engine that logs when it is ready and how many results each call to `finished` brings."""

    def __init__(self, engine: Engine, file: TextIO) -> None:
        """Wrap an engine and log that it is ready."""
        super().__init__(engine)
        self._file = file
        self._write("ready", time.time())

    def score(self, requests: Any, finished: Any) -> Any:
        """Pass the requests on and count the results."""
        return super().score(requests, self._counting("score", finished))

    def generate(self, requests: Any, decoding: Any, finished: Any) -> Any:
        """Pass the requests on and count the results."""
        return super().generate(requests, decoding, self._counting("generate", finished))

    def _counting(self, kind: str, finished: Any) -> Any:
        def passed_on(found: Any) -> None:
            self._write(kind, len(found))
            finished(found)

        return passed_on

    def _write(self, what: str, number: float) -> None:
        self._file.write(json.dumps([what, number]) + "\n")


def study(folder: Path) -> Study:
    """Return the study of the checkpoint in the subfolder `model`."""
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
    """Start the job in a separate process."""
    paths = (folder, folder / f"{name}-store", folder / f"{name}.parquet", folder / f"{name}.jsonl")
    return subprocess.Popen([sys.executable, __file__, "--work", *map(str, paths)])


def counts_of(path: Path) -> dict[str, float]:
    """Return the total number of results per kind, and when the first engine was ready."""
    totals: dict[str, float] = {}
    for what, number in map(json.loads, path.read_text().splitlines()):
        if what == "ready":
            totals.setdefault(what, number)
        else:
            totals[what] = totals.get(what, 0) + number
    return totals


def starts_of(path: Path) -> int:
    """Return how many engines have become ready so far."""
    return path.read_text().count("ready") if path.exists() else 0


def main() -> None:
    """Run the kills, print the results and write them as JSON."""
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
    """Return counts of kills and of computed results, and the differences between the tables."""
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
            # at most four times a kill's share of the work, so that kills spread over the whole job
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
