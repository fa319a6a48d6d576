"""Check that Slurm answers and has the partitions that jobs are submitted to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection

from scruple.errors import ScrupleError

_PATIENCE = 20
"""Timeout in seconds; a healthy controller answers faster."""


def check_cluster(executor: str, partitions: Collection[str]) -> None:
    """Check that Slurm answers and has the partitions; other executors are not checked.

    Without this check, snakemake would wait silently for a controller that does not answer, and
    would not say that a partition does not exist.

    Args:
        executor: the snakemake executor of this run.
        partitions: the partitions that jobs will be submitted to.

    Raises:
        ScrupleError: if Slurm does not answer or lacks a partition; the message contains the output
            of `sinfo`.
    """
    if executor != "slurm":
        return
    known = _sinfo("-o", "%R").split()
    if unknown := sorted(set(partitions) - set(known)):
        raise ScrupleError(
            f"`slurm_partition` is {', '.join(unknown)}, and Slurm has {', '.join(known)}: name "
            "one of these (`--default-resources slurm_partition=…`, or in a profile)."
        )


def _sinfo(*options: str) -> str:
    """Return the output of `sinfo` (ScrupleError if it fails)."""
    if shutil.which("sinfo") is None:
        said = "its commands (sinfo, sbatch) are not installed here"
    else:
        command = ["sinfo", "-h", *options]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            said = f"`sinfo` gives no answer within {_PATIENCE} s"
        else:
            if done.returncode == 0:
                return done.stdout
            said = f"`sinfo` says: {' '.join(done.stderr.split()[-20:])}"
    raise ScrupleError(
        f"jobs are to be Slurm's, and no Slurm is there: {said}. Start from a node on which "
        "`sinfo` works, or run here: `--workflow-profile workstation`."
    )
