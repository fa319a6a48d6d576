"""Jobs that nobody waits for any more end by themselves.

A `snakemake` that was killed leaves its jobs at work; a run that is started again would then ask
the same beside them, and each would remove what the other wrote. So a run claims what it is about
to ask, and a job ends when a newer run, or a newer job of its own, has claimed its outputs, or when
the snakemake that started it on its machine is gone. What is finished is in the store.

Nothing is locked: claims work on any shared file system, and whoever died has nothing to give back.
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
"""Variable in which jobs are told when their run began."""
_LOOK_EVERY = 1.0
"""Seconds between two looks."""
_PATIENCE = 60.0
"""Seconds that a job has to end in an orderly way, once it is told to."""


def begin_run() -> None:
    """Note when this run began, for itself and its jobs, which call this too and find it noted."""
    os.environ.setdefault(_RUN, str(time.time()))


def claim_of(study: str, rule: str, wildcards: Mapping[str, str]) -> Path | None:
    """Return the file in which a job's outputs are claimed; None for jobs that ask nothing."""
    folder = Path("results", study, "claims")
    if rule in ("respond", "respond_shard"):
        parts = (wildcards["benchmark"], wildcards.get("shard"))
        name = ".".join(part for part in parts if part)
        return folder / wildcards["family"] / wildcards["checkpoint"] / name
    return folder / rule if rule.startswith("respond_") else None


def targets_of(command: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return rule and wildcards of the jobs that a snakemake's command line names.

    So a snakemake is told by another what it exists for: `--target-jobs rule:key=value,… …`.
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
    """Claim outputs for this run: jobs that older runs left at work on them end.

    Raises:
        ScrupleError: if a claim cannot be written.
    """
    for claim in claims:
        _write(claim)


def refuse_outdated(claims: Iterable[Path]) -> None:
    """Refuse a job whose outputs a newer run has claimed, before anything of them is removed.

    Slurm may start a job long after its snakemake was killed.

    Raises:
        ScrupleError: if one of them is claimed so.
    """
    # one from the future, by a clock that was wrong, must not stop all that follow
    if any(_began() < _run_of(claim) <= time.time() for claim in claims):
        raise ScrupleError("a newer run has begun the same outputs: this job is not wanted.")


@contextlib.contextmanager
def sole(claim: Path, log: logging.Logger) -> Iterator[None]:
    """Claim outputs for this job while the body runs; end the process if it is not wanted any more.

    Args:
        claim: a file for the claim, of these outputs alone.
        log: told why the process ends.

    Raises:
        ScrupleError: if a newer run has claimed them, or the claim cannot be written.
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
    """Return when the run began that claimed last; 0 if none did."""
    try:
        return float(claim.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0


def _starters() -> list[psutil.Process]:
    """Return this process's parents up to the first snakemake, which waits for it."""
    parents = psutil.Process().parents()
    runs = [place for place, parent in enumerate(parents) if _is_snakemake(parent)]
    return parents[: runs[-1] + 1] if runs else []


def _is_snakemake(process: psutil.Process, only_for_jobs: bool = False) -> bool:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        # python, -m or a path, snakemake
        named = any(
            Path(word).name == "snakemake" or word.endswith("snakemake/__main__.py")
            for word in words[:3]
        )
        return named and ("--mode" in words or not only_for_jobs)
    return False


def _end(starters: Iterable[psutil.Process]) -> None:
    """End snakemakes that exist for this job alone, or for it and others that are wanted no more.

    They would go on to the group's next job, and remove what a newer run has made.
    """
    for process in starters:
        if _is_snakemake(process, only_for_jobs=True):
            with contextlib.suppress(psutil.Error):
                process.kill()


def _unwanted(claim: Path, mine: str, starters: list[psutil.Process]) -> str:
    """Return why a job is not wanted any more, or nothing."""
    if not all(_alive(process) for process in starters):
        return "the snakemake that started this job is gone"
    with contextlib.suppress(OSError):  # a claim that cannot be read for a moment says nothing
        if claim.read_text(encoding="utf-8") != mine:
            return "another job, or a newer run, has begun the same outputs"
    return ""


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
