"""Claims on outputs, by which jobs that are no longer needed stop.

If `snakemake` is killed, its jobs keep running. A new run would ask the same trials next to them,
and each would remove the files of the other. So a run claims the outputs that it is about to make.
A job stops if a newer run, or a newer job of the same run, has claimed its outputs, or if the
snakemake process that started it on its machine is gone. Finished results are in the store.

There are no locks. Claims work on any shared file system, and a dead process has nothing to
release.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import psutil

from scruple.errors import ScrupleError
from scruple.files import whole

_RUN = "SCRUPLE_RUN"
"""Environment variable that passes the start time of a run to its jobs."""
_LOOK_EVERY = 1.0
"""Seconds between two checks of a claim."""
_PATIENCE = 60.0
"""Seconds that a job has to shut down cleanly after SIGTERM."""


def begin_run() -> None:
    """Record when this run began. Its jobs call this too and keep the time that they inherit."""
    os.environ.setdefault(_RUN, str(time.time()))


def claim_of(study: str, rule: str, wildcards: Mapping[str, str]) -> Path | None:
    """Return the claim file for a job's outputs; None for jobs that do not ask a checkpoint."""
    folder = Path("results", study, "claims")
    if rule in ("respond", "respond_shard"):
        parts = (wildcards["benchmark"], wildcards.get("shard"))
        name = ".".join(part for part in parts if part)
        return folder / wildcards["family"] / wildcards["checkpoint"] / name
    return folder / rule if rule.startswith("respond_") else None


def targets_of(command: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return rule and wildcards of the target jobs on a snakemake command line.

    Snakemake passes them to the subprocess that runs these jobs: `--target-jobs rule:key=value,…`.
    """
    if "--target-jobs" not in command:
        return []
    told = command[command.index("--target-jobs") + 1 :]
    jobs = (word.split(":", 1) for word in takewhile(lambda word: not word.startswith("--"), told))
    return [
        (rule, dict(pair.split("=", 1) for pair in wildcards.split(",") if pair))
        for rule, wildcards in jobs
    ]


def take_over(claims: Iterable[Path]) -> None:
    """Claim outputs for this run, so that jobs of older runs on the same outputs stop.

    Raises:
        ScrupleError: if a claim cannot be written.
    """
    for claim in claims:
        _write(claim)


def refuse_outdated(claims: Iterable[Path]) -> None:
    """Refuse a job whose outputs a newer run has claimed, before any of them is removed.

    Slurm may start a job long after its snakemake was killed.

    Raises:
        ScrupleError: if a newer run has claimed any of the outputs.
    """
    # a claim dated in the future, because a clock was wrong, must not block all later runs
    if any(_began() < _run_of(claim) <= time.time() for claim in claims):
        raise ScrupleError("a newer run has begun the same outputs: this job is not wanted.")


@contextlib.contextmanager
def sole(claim: Path, log: logging.Logger) -> Iterator[None]:
    """Claim outputs for this job while the body runs; end the process once the job is obsolete.

    Args:
        claim: the claim file, for these outputs only.
        log: logs why the process ends.

    Raises:
        ScrupleError: if a newer run has claimed the outputs, or the claim cannot be written.
    """
    starters = _starters()
    try:
        refuse_outdated([claim])
    except ScrupleError:
        _end(starters)
        raise
    mine = _write(claim)
    over = threading.Event()
    reasons: list[str] = []

    def look() -> None:
        while not over.wait(_LOOK_EVERY):
            if reason := _unwanted(claim, mine, starters):
                reasons.append(reason)
                log.error("%s; this one ends, and what it finished is kept.", reason)
                os.kill(os.getpid(), signal.SIGTERM)
                if not over.wait(_PATIENCE):
                    os._exit(1)
                return

    watcher = threading.Thread(target=look, name="claim", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        if reasons:
            _end(starters)


def _began() -> float:
    return float(os.environ.get(_RUN, time.time()))


def _write(claim: Path) -> str:
    mine = f"{_began()} {platform.node()} {os.getpid()} {uuid.uuid4().hex}\n"
    with whole(claim) as part:
        part.write_text(mine, encoding="utf-8")
    return mine


def _run_of(claim: Path) -> float:
    """Return when the run that claimed last began; 0 if there is no readable claim."""
    try:
        return float(claim.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0


def _starters() -> list[psutil.Process]:
    """Return this process's ancestors up to the outermost snakemake, which waits for it."""
    parents = psutil.Process().parents()
    runs = [place for place, parent in enumerate(parents) if _is_snakemake(parent)]
    return parents[: runs[-1] + 1] if runs else []


def _is_snakemake(process: psutil.Process, only_for_jobs: bool = False) -> bool:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        # `snakemake …`, `python -m snakemake …` or `python …/snakemake/__main__.py …`
        named = any(
            Path(word).name == "snakemake" or word.endswith("snakemake/__main__.py")
            for word in words[:3]
        )
        return named and ("--mode" in words or not only_for_jobs)
    return False


def _end(starters: Iterable[psutil.Process]) -> None:
    """Kill the snakemake subprocesses that only run this job, or it and others no longer needed.

    They would otherwise start the next job of the group and remove what a newer run has made.
    """
    for process in starters:
        if _is_snakemake(process, only_for_jobs=True):
            with contextlib.suppress(psutil.Error):
                process.kill()


def _unwanted(claim: Path, mine: str, starters: list[psutil.Process]) -> str:
    """Return why a job is no longer needed; empty if it still is."""
    if not all(_alive(process) for process in starters):
        return "the snakemake that started this job is gone"
    with contextlib.suppress(OSError):  # ignore a claim that is temporarily unreadable
        if claim.read_text(encoding="utf-8") != mine:
            return "another job, or a newer run, has begun the same outputs"
    return ""


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
