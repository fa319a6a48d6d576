"""GPUs: which ones a process may use, and how concurrent jobs on a machine get different ones.

Snakemake counts GPUs but does not assign them. So a job locks each GPU that it needs. The operating
system releases the locks when the job ends, even if it is killed.
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
"""Folder of the locks, the same for all users and projects on a machine, whatever TMPDIR is."""

_MIB = 1024 * 1024
_PAUSE = 0.5
"""Seconds between two attempts to lock GPUs that other jobs hold."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        id: its identifier in CUDA_VISIBLE_DEVICES.
        name: a name that is unique across machines: the UUID, or node and `id` if the driver does
            not list the GPU.
        memory: memory in bytes; 0 if the driver does not report it.
    """

    id: str
    name: str
    memory: int


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use.

    These are the GPUs that the driver lists, or a selection of them if CUDA_VISIBLE_DEVICES is set
    by the user or by Slurm. In a Slurm job the variable is trusted if there is no driver to query.

    Raises:
        ScrupleError: if the variable names a GPU that the driver does not list.
    """
    found = _driver()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    if not found and "SLURM_JOB_ID" not in os.environ:
        return []
    visible: dict[str, Gpu] = {}
    for token in (part.strip() for part in chosen.split(",")):
        if token in ("", "-1", "NoDevFiles"):  # like CUDA, ignore this entry and all after it
            break
        gpu = _named(token, found)
        visible.setdefault(gpu.name, gpu)
    return list(visible.values())


def _named(token: str, found: Sequence[Gpu]) -> Gpu:
    """Return the GPU that a token means to CUDA: an index, a UUID, or the beginning of a UUID."""
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
    """Return all GPUs that nvidia-smi lists; none if it is missing or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = "--query-gpu=index,uuid,memory.total"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        rows = [line.split(", ") for line in done.stdout.splitlines() if line.strip()]
        return [
            # some devices do not report their memory
            Gpu(index, uuid, int(memory) * _MIB if memory.isdigit() else 0)
            for index, uuid, memory in rows
        ]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _warn(f"nvidia-smi is here and does not tell of GPUs ({error}): none is seen.")
        return []


@cache
def _warn(text: str) -> None:
    """Log a warning, but each text only once."""
    log.warning(text)


@contextlib.contextmanager
def lease(count: int, log: logging.Logger) -> Iterator[list[Gpu]]:
    """Lock GPUs that no other job holds, wait for them if necessary, and make only these visible.

    Only one job at a time collects GPUs, and it keeps those it has while it waits for more. So jobs
    that need several GPUs neither deadlock nor starve. Call this before CUDA is initialised. If
    `count` is 0, nothing changes.

    Args:
        count: number of GPUs.
        log: gets a message if the job has to wait.

    Raises:
        ScrupleError: if fewer GPUs are visible, or the lock files cannot be used.
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
    """Lock GPUs until there are enough; the locks are released when `held` closes."""
    # Slurm gives each job its own GPUs, so only jobs with the same ones share a queue
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
    """Try to lock a name on this machine, without waiting; return whether that succeeded.

    The lock is released when `held` closes. `filelock` is not used because it rejects files that
    another user created, which are fine here.
    """
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
    path = LOCKS / f"{safe}.lock"
    try:
        if not LOCKS.is_dir():
            LOCKS.mkdir(exist_ok=True)
            LOCKS.chmod(0o1777)  # like /tmp: every user may add files
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
