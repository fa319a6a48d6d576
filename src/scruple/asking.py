"""The whole work on one checkpoint and one benchmark: load, ask, and record what it cost."""

from __future__ import annotations

import logging
import time
from typing import Any

import pandas as pd

from scruple.engines import load_engine
from scruple.responses import Bar, respond
from scruple.study import Study


def ask_checkpoint(
    study: Study,
    family: str,
    benchmark: str,
    items: pd.DataFrame,
    manifest: dict[str, Any],
    threads: int,
    bar: Bar,
    log: logging.Logger,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask a checkpoint everything that a study wants to know of one benchmark.

    Args:
        study: the study.
        family: name of the checkpoint's family.
        benchmark: name of the benchmark.
        items: its items.
        manifest: what `fetch_checkpoint` wrote of the checkpoint.
        threads: CPU threads.
        bar: makes progress bars.
        log: told what is loaded and how long it took.

    Returns:
        The response table, and what the provenance should say of it.

    Raises:
        ScrupleError: if the checkpoint cannot be loaded or asked.
    """
    name = manifest["checkpoint"]
    engine = load_engine(manifest, study.compute, threads)
    description = engine.describe()
    facts = ", ".join(f"{key} {value}" for key, value in description.items())
    log.info("%s: %s", name, facts)
    start = time.monotonic()
    entry = study.benchmark(benchmark)
    table = respond(study, entry, items, engine, study.format(family, name), name, bar)
    seconds = round(time.monotonic() - start, 1)
    log.info("%s: %d responses in %.1f s", name, len(table), seconds)
    return table, {
        **description,
        "family": family,
        "checkpoint": name,
        "benchmark": benchmark,
        "responses": len(table),
        "prompt_tokens": int(table["prompt_tokens"].sum()),
        "reasoning_tokens": int(table["reasoning_tokens"].sum()),
        "seconds": seconds,
    }
