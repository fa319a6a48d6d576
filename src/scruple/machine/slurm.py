"""Whether the cluster that is to do the jobs is there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection

from scruple.errors import ScrupleError

_PATIENCE = 20
"""Seconds in which a controller that is well has answered."""


def check_cluster(executor: str, partitions: Collection[str]) -> None:
    """Refuse a Slurm that does not answer, or lacks a partition.

    Snakemake would wait for the one without a word, and give no reason for what the other causes.

    Args:
        executor: the executor that snakemake was told to use.
        partitions: those that jobs are to go to.

    Raises:
        ScrupleError: with what `sinfo` says.
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
    """Return what Slurm answers (ScrupleError if it does not)."""
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
