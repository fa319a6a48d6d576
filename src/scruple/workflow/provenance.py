"""The provenance of a study's results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from scruple.files import read_json
from scruple.machine.gpus import Gpu
from scruple.study.model import ROOT
from scruple.study.unfinished import Unfinished

_PACKAGES = (
    "scruple", "snakemake", "torch", "transformers", "accelerate", "tokenizers", "numpy",
    "pandas", "scipy", "matplotlib", "seaborn",
)  # fmt: skip


class Run:
    """The node, GPUs and times of a job that asks a checkpoint."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        """Record the GPUs and the start time, which is now."""
        self._gpus = [gpu.name for gpu in gpus]
        self._started = datetime.now(UTC)

    def ended(self) -> dict[str, Any]:
        """Return node, GPUs, start time and end time (now) as plain data."""
        return {
            "node": os.environ.get("SLURMD_NODENAME", platform.node()),
            "gpus": self._gpus,
            "started": self._started.isoformat(),
            "ended": datetime.now(UTC).isoformat(),
        }


def provenance(
    study: Mapping[str, Any],
    items: Iterable[str],
    left_out: Iterable[str],
    checkpoints: Iterable[str],
    records: Iterable[str],
    unfinished: Unfinished,
) -> dict[str, Any]:
    """Return the config, commits, hashes of data and weights, versions, hardware and cost.

    Args:
        study: the study as plain data.
        items: paths of the tables of items.
        left_out: paths of the tables of items that could not be used.
        checkpoints: paths of the checkpoints' manifests.
        records: paths of the records that the response jobs wrote next to their responses.
        unfinished: checkpoints and benchmarks of the study that have no responses.
    """
    canonical = json.dumps(study, sort_keys=True, separators=(",", ":"))
    jobs = [_read(path) for path in records]
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": study["study"],
        "config_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "config": study,
        "code_commit": _commit(),
        "items": {Path(path).stem: _items(Path(path)) for path in items},
        "left_out": {Path(path).name.split(".left_out")[0]: _reasons(path) for path in left_out},
        "checkpoints": [_read(path) for path in checkpoints],
        "packages": {name: version(name) for name in _PACKAGES},
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "jobs": [{key: value for key, value in job.items() if key != "prompts"} for job in jobs],
        "prompts": prompts_of(study, jobs),
        "unfinished": dict(unfinished),
        "prompt_tokens": sum(job["prompt_tokens"] for job in jobs),
        "reasoning_tokens": sum(job["reasoning_tokens"] for job in jobs),
        "seconds": sum(job["seconds"] for job in jobs),
    }


def prompts_of(study: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return complete prompts: those of the largest checkpoint of each family and stage.

    Args:
        study: the study as plain data.
        jobs: the records of the response jobs.
    """
    places = {
        (family["name"], checkpoint["name"]): (checkpoint["params"], checkpoint["stage"])
        for family in study["families"]
        for checkpoint in family["checkpoints"]
    }
    largest: dict[tuple[str, str, str], tuple[int, Mapping[str, Any]]] = {}
    for job in jobs:
        params, stage = places[job["family"], job["checkpoint"]]
        key = job["family"], stage, job["benchmark"]
        if key not in largest or params > largest[key][0]:
            largest[key] = params, job
    about = ("family", "checkpoint", "benchmark", "turns")
    return [
        {**{name: job[name] for name in about}, **prompt}
        for _, job in largest.values()
        for prompt in job["prompts"]
    ]


def _read(path: str) -> dict[str, Any]:
    record: dict[str, Any] = read_json(path)
    return record


def _items(path: Path) -> dict[str, Any]:
    """Return the number of items and a hash of their content, independent of the encoding."""
    table = pd.read_parquet(path)
    content = table.to_csv(index=False).encode()
    return {"items": len(table), "sha256": hashlib.sha256(content).hexdigest()}


def _reasons(path: str) -> dict[str, int]:
    counts = pd.read_csv(path, dtype=str)["reason"].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def _commit() -> str | None:
    """Return the commit of the code, with `-dirty` if it has changes; None if git cannot say."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
