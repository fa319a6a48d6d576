"""Whether the cluster that is to do the jobs is there."""

from __future__ import annotations

import shutil
import subprocess

from scruple.errors import ScrupleError

_PATIENCE = 20
"""Seconds in which a controller that is well has answered."""


def check_cluster(executor: str) -> None:
    """Refuse to give jobs to a Slurm that does not answer: snakemake would wait without a word.

    Args:
        executor: the executor that snakemake was told to use.

    Raises:
        ScrupleError: with what `sinfo` says.
    """
    if executor != "slurm":
        return
    if shutil.which("sinfo") is None:
        said = "its commands (sinfo, sbatch) are not installed here"
    else:
        try:
            done = subprocess.run(
                ["sinfo", "-h"], capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            said = f"`sinfo` gives no answer within {_PATIENCE} s"
        else:
            if done.returncode == 0:
                return
            said = f"`sinfo` says: {' '.join(done.stderr.split()[-20:])}"
    raise ScrupleError(
        f"jobs are to be Slurm's, and no Slurm is there: {said}. Start from a node on which "
        "`sinfo` works, or run here: `--workflow-profile workstation`."
    )
