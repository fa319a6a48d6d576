"""GPUs: which a process may use, and how concurrent jobs of one machine get different ones.

Snakemake counts GPUs and does not say which. So a job takes as many as it needs under a lock each,
which the operating system lets go when the job ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scruple.errors import ScrupleError

log = logging.getLogger(__name__)

LOCKS = Path("/tmp/scruple-gpus")
"""One place for all users and folders of a machine, whatever TMPDIR says."""

_MIB = 1024 * 1024
_PAUSE = 0.5
"""Seconds between two looks at GPUs that others have."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that may be used.

    Attributes:
        id: what CUDA_VISIBLE_DEVICES calls it.
        name: what it is called on all machines: its UUID, or node and number where no driver tells.
        memory: in bytes; 0 where no driver tells.
    """

    id: str
    name: str
    memory: int


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use: the driver's, or those that were chosen of them.

    They are chosen with CUDA_VISIBLE_DEVICES, by the user or by Slurm. Slurm's word is taken where
    there is no driver to ask.

    Raises:
        ScrupleError: if one is chosen that the driver does not show.
    """
    found = _driver()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    if not found and "SLURM_JOB_ID" not in os.environ:
        return []
    visible: dict[str, Gpu] = {}
    for token in (part.strip() for part in chosen.split(",")):
        if token in ("", "-1", "NoDevFiles"):  # as CUDA does: what follows is not seen either
            break
        gpu = _named(token, found)
        visible.setdefault(gpu.name, gpu)
    return list(visible.values())


def _named(token: str, found: Sequence[Gpu]) -> Gpu:
    """Return the GPU that CUDA calls so: by number, by UUID, or by how its UUID begins."""
    meant = [
        gpu for gpu in found
        if token == gpu.id or (token.startswith("GPU-") and gpu.name.startswith(token))
    ]  # fmt: skip
    if len(meant) == 1:
        return Gpu(token, meant[0].name, meant[0].memory)
    if found and not token.startswith("MIG-"):
        raise ScrupleError(
            f"CUDA_VISIBLE_DEVICES names {token!r}, and the driver shows "
            f"{', '.join(f'{gpu.id} ({gpu.name})' for gpu in found)}: name some of these, or unset "
            "it."
        )
    return Gpu(token, f"{os.environ.get('SLURMD_NODENAME', platform.node())}-{token}", 0)


def _driver() -> list[Gpu]:
    """Return all GPUs that the driver shows; none where there is no driver, or it fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = "--query-gpu=index,uuid,memory.total"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        rows = [line.split(", ") for line in done.stdout.splitlines() if line.strip()]
        return [
            # some devices do not tell their memory
            Gpu(index, uuid, int(memory) * _MIB if memory.isdigit() else 0)
            for index, uuid, memory in rows
        ]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _warn(f"nvidia-smi is here and does not tell of GPUs ({error}): none is seen.")
        return []


@cache
def _warn(text: str) -> None:
    """Say something once."""
    log.warning(text)


@contextlib.contextmanager
def lease(count: int, log: logging.Logger) -> Iterator[list[Gpu]]:
    """Take GPUs that no other job has, waiting for them if need be; make CUDA see just these.

    Only one job at a time gathers GPUs, and keeps those it has while it waits for more: so jobs
    that need several neither wait for each other nor are overtaken for ever. To be called before
    CUDA is used; for no GPUs nothing is changed.

    Args:
        count: how many.
        log: told of waiting.

    Raises:
        ScrupleError: if fewer may be used, or the locks cannot be written.
    """
    if count == 0:
        yield []
        return
    gpus = visible_gpus()
    if len(gpus) < count:
        raise ScrupleError(
            f"this job was to have {count} GPUs, and may use {len(gpus)} (CUDA_VISIBLE_DEVICES is "
            f"{os.environ.get('CUDA_VISIBLE_DEVICES')!r}): give it as many, or set "
            "`compute.gpu_memory` to the memory of one of them."
        )
    with contextlib.ExitStack() as held:
        taken = _gather(gpus, count, held, log)
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.id for gpu in taken)
        try:
            yield taken
        finally:
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


def _gather(
    gpus: Sequence[Gpu], count: int, held: contextlib.ExitStack, log: logging.Logger
) -> list[Gpu]:
    """Lock GPUs until there are enough; their locks are left to `held`."""
    # Slurm's jobs have GPUs of their own, and need not queue up with each other
    queue = ",".join(gpu.name for gpu in gpus) if "SLURM_JOB_ID" in os.environ else "all"
    queue = f"queue-{hashlib.sha256(queue.encode()).hexdigest()[:16]}"
    taken: list[Gpu] = []
    said = False
    with contextlib.ExitStack() as queued:
        first = False
        while len(taken) < count:
            first = first or _locked(queue, queued)
            for gpu in gpus if first else ():
                if len(taken) < count and gpu not in taken and _locked(gpu.name, held):
                    taken.append(gpu)
            if len(taken) < count:
                if not said:
                    log.info("waiting for GPUs that other jobs have: %d of %d", len(taken), count)
                    said = True
                time.sleep(_PAUSE)
    return taken


def _locked(name: str, held: contextlib.ExitStack) -> bool:
    """Try to lock a name on this machine; if it is had, leave it to `held` and tell so.

    `filelock` would refuse files that another user made, which here are as good as one's own.
    """
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
    path = LOCKS / f"{safe}.lock"
    try:
        if not LOCKS.is_dir():
            LOCKS.mkdir(exist_ok=True)
            LOCKS.chmod(0o1777)  # as /tmp
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ScrupleError(
            f"{path}: GPUs are locked here, so that no two jobs share one, and it cannot be used "
            f"({error.strerror or error}); change its permissions, or remove {LOCKS} while no job "
            "runs."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True
