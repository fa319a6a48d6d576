"""How a run deals with unfinished response jobs: what it refuses and what it advises."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple import texts
from scruple.errors import ScrupleError
from scruple.study.types import Job
from scruple.study.unfinished import by_checkpoint

ASKING = ("respond", "fetch_checkpoint", "download_source", "build_items")
"""Prefixes of the names of rules that ask or fetch checkpoints, or make items."""


def refuse_asking(jobs: Iterable[tuple[str, Any, Sequence[Any]]]) -> None:
    """Refuse an `only_finished` run that would ask, fetch or make items again.

    Args:
        jobs: rule, wildcards and output of every job of the run.

    Raises:
        ScrupleError: if there are such jobs; the message names some of their outputs.
    """
    outputs = {str(files[0]) for name, _, files in jobs if name.startswith(ASKING)}
    if not outputs:
        return
    first = sorted(outputs)[:3]
    more = f" and {len(outputs) - len(first)} more" if len(outputs) > len(first) else ""
    raise ScrupleError(
        "config: `only_finished` takes finished responses as they are and asks nothing, and this "
        f"run would make again {', '.join(first)}{more}: what they depend on (the config, prompts, "
        "items, a checkpoint's files, the program) has changed since, or their job was killed. "
        "Undo the change, or run without `only_finished`; with `--keep-going` the run continues "
        "if a checkpoint fails."
    )


def advice(
    missing: Sequence[Job], snakefile: str, overrides: Iterable[str], options: Mapping[str, Any]
) -> str:
    """Return the advice after a failed run: what is missing, and the command for the rest.

    Args:
        missing: the jobs that have no responses.
        snakefile: path of the Snakefile.
        overrides: config overrides given with --configfile.
        options: config overrides given with --config.
    """
    command = ["snakemake", "--cores", "all"]
    if Path(snakefile).resolve().parent != Path.cwd():
        command += ["-s", os.path.relpath(snakefile)]
    if overrides := list(overrides):
        command += ["--configfile", *overrides]
    given = {**options, "only_finished": True}
    command += ["--config", *(f"{key}={_written(value)}" for key, value in given.items())]
    names = [f"{place} ({', '.join(b)})" for place, b in by_checkpoint(missing).items()]
    more = texts.AND_MORE.format(number=len(names) - 5) if len(names) > 5 else ""
    return texts.NO_RESPONSES_YET.format(
        places=", ".join(names[:5]), more=more, command=shlex.join(command)
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
