"""One job: load a checkpoint, run one benchmark's trials (or a shard), and record the cost."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scruple.checkpoints.manifest import Manifest
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.engines import load_engine
from scruple.engines.loading import check_files
from scruple.files import whole
from scruple.prompts.files import load_dialogue
from scruple.prompts.rendering import Renderer
from scruple.responses.examples import examples
from scruple.responses.shards import WHOLE, Shard
from scruple.responses.store import Store, fingerprint
from scruple.responses.stored_engine import StoredEngine
from scruple.responses.table import KEYS, Bar, respond, schema_of
from scruple.responses.trials import check_trials, items_of
from scruple.study.model import Study

_DRAW = [name for name in KEYS if name != "scoring"]


def ask_checkpoint(
    study: Study,
    family: str,
    benchmark: str,
    items: pd.DataFrame,
    manifest: Manifest,
    threads: int,
    gpus: int,
    store: Path,
    target: Path,
    bar: Bar,
    log: logging.Logger,
    shard: Shard = WHOLE,
) -> dict[str, Any]:
    """Run all trials of one benchmark, or one shard, on a checkpoint; write the response table.

    Args:
        study: the study.
        family: the name of the checkpoint's family.
        benchmark: the name of the benchmark.
        items: the benchmark's items.
        manifest: the checkpoint's manifest.
        threads: the number of CPU threads.
        gpus: the number of GPUs allocated to the job.
        store: the folder for finished results of all checkpoints.
        target: the file to write the response table to.
        bar: creates progress bars.
        log: the logger for what was loaded and how long it took.
        shard: the part of the items to run.

    Returns:
        A record for the provenance: the engine's description, the names, the numbers of responses
        and tokens, why reasonings ended, the seconds, how turns are written, and one complete
        prompt per condition.

    Raises:
        ScrupleError: if the checkpoint's files have changed, it cannot be loaded, or a prompt
            cannot be scored.
    """
    name = manifest.checkpoint
    entry = study.benchmark(benchmark)
    items = items_of(study, entry, items, shard)
    check_files(manifest)
    read = load_tokenizer(manifest.location)
    dialogue = load_dialogue(study, entry)
    writing = study.writing(family, name)
    renderer = Renderer(writing, dialogue, read.tokenizer, name)
    check_trials(study, entry, items, read, renderer, name)
    loaded = load_engine(manifest, study.compute, threads, gpus)
    description = loaded.describe()
    address = fingerprint(manifest, study.compute.engine, description["dtype"])
    engine = StoredEngine(loaded, Store(store / address))
    facts = ", ".join(f"{key} {value}" for key, value in description.items())
    log.info("%s: %s", name, facts)
    if gpus and description["device"] == "cpu":
        log.warning(
            "%s: PyTorch sees no GPU, although this job has %d: it goes on, many times as slowly; "
            "with `compute.device: cuda` it would not.", name, gpus,
        )  # fmt: skip
    start = time.monotonic()
    first = entry.scorings[0]
    schema = schema_of(entry.kind)
    counts = dict.fromkeys(("responses", "prompt_tokens", "reasoning_tokens"), 0)
    ended = dict.fromkeys(("end", "turn", "length"), 0)
    prompts: list[dict[str, Any]] = []
    with whole(target) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for piece in respond(study, entry, items, engine, renderer, name, bar):
            writer.write_table(pa.Table.from_pandas(piece, schema, preserve_index=False))
            counts["responses"] += len(piece)
            counts["prompt_tokens"] += int(piece["prompt_tokens"].sum())
            once = piece[piece["scoring"] == first]  # all scorings share a reasoning
            counts["reasoning_tokens"] += int(once["reasoning_tokens"].sum())
            for reason, number in once["reasoning_end"].value_counts().items():
                ended[str(reason)] += int(number)
            if not prompts:
                drawn, shown = _sampled(once), study.primary_scoring(family, entry)
                prompts = list(
                    examples(study, entry, items[:1], shown, renderer, read.tokenizer, drawn)
                )
    seconds = round(time.monotonic() - start, 1)
    log.info("%s: %d responses in %.1f s", name, counts["responses"], seconds)
    return {
        **description,
        "family": family,
        "checkpoint": name,
        "benchmark": benchmark,
        **counts,
        "reasoning_ended": ended,
        "seconds": seconds,
        "quantisation": manifest.quantisation,
        "turns": renderer.facts(),
        "prompts": prompts,
    }


def _sampled(responses: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return draw → its reasoning, for the responses that have one."""
    rows = responses[responses["reasoning"].notna()]
    draws = rows[_DRAW].itertuples(index=False, name=None)
    return dict(zip(draws, rows["reasoning"], strict=True))
