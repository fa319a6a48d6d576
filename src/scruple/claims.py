"""Jobs that nobody waits for any more end by themselves.

A `snakemake` that was killed leaves its jobs at work; a run that is started again would then ask
the same beside them. So a job ends when the snakemake that started it on its machine is gone, and
when another job has begun the same outputs: what is finished is in the store, for the newer one.
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
from collections.abc import Iterator
from pathlib import Path

import psutil

from scruple.errors import ScrupleError
from scruple.jobs import whole

RUN = "SCRUPLE_RUN"
"""Variable in which jobs are told when their run began."""
_LOOK_EVERY = 1.0
"""Seconds between two looks."""
_PATIENCE = 60.0
"""Seconds that a job has to end in an orderly way, once it is told to."""


@contextlib.contextmanager
def sole(claim: Path, log: logging.Logger) -> Iterator[None]:
    """Claim outputs for this job while the body runs; end the process if it is not wanted any more.

    The newest claim counts, unless it is a job of an older run that comes late (Slurm may start it
    long after its snakemake was killed). Nothing is locked: it works on any shared file system, and
    a job that died has nothing to give back.

    Args:
        claim: a file for the claim, of these outputs alone.
        log: told why the process ends.

    Raises:
        ScrupleError: if a newer run has claimed them, or the claim cannot be written.
    """
    begun = float(os.environ.get(RUN, time.time()))
    # one from the future, by a clock that was wrong, must not stop all that follow
    if begun < _run_of(claim) <= time.time():
        raise ScrupleError("a newer run has begun the same outputs: this job is not wanted.")
    mine = f"{begun} {platform.node()} {os.getpid()} {uuid.uuid4().hex}\n"
    with whole(claim) as part:
        part.write_text(mine, encoding="utf-8")
    starters, over = _starters(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_EVERY):
            reason = _unwanted(claim, mine, starters)
            if reason and not over.is_set():
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


def _is_snakemake(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()[:3]  # python, -m or a path, snakemake
        return any(Path(word).name == "snakemake" for word in words)
    return False


def _unwanted(claim: Path, mine: str, starters: list[psutil.Process]) -> str:
    """Return why a job is not wanted any more, or nothing."""
    if not all(_alive(process) for process in starters):
        return "the snakemake that started this job is gone"
    with contextlib.suppress(OSError):  # a claim that cannot be read for a moment says nothing
        if claim.read_text(encoding="utf-8") != mine:
            return "another job has begun the same outputs"
    return ""


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
