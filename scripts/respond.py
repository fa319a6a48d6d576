"""Ask one checkpoint everything that the study wants to know of one benchmark."""

import json
import time
from pathlib import Path

import pandas as pd

from scruple.engines import load_engine
from scruple.jobs import bar, job, whole
from scruple.responses import respond
from scruple.study import load_study

with job(snakemake) as log:
    study = load_study(snakemake.config)
    wanted = snakemake.wildcards
    benchmark = study.benchmark(wanted.benchmark)
    manifest = json.loads(Path(snakemake.input.checkpoint).read_text(encoding="utf-8"))
    engine = load_engine(manifest, study.compute, snakemake.threads)
    description = engine.describe()
    facts = ", ".join(f"{name} {value}" for name, value in description.items())
    log.info("%s: %s", wanted.checkpoint, facts)
    items = pd.read_parquet(snakemake.input.table)
    start = time.monotonic()
    format = study.format(wanted.family, wanted.checkpoint)
    table = respond(study, benchmark, items, engine, format, wanted.checkpoint, bar)
    record = {
        **description,
        "family": wanted.family,
        "checkpoint": wanted.checkpoint,
        "benchmark": benchmark.name,
        "responses": len(table),
        "prompt_tokens": int(table["prompt_tokens"].sum()),
        "reasoning_tokens": int(table["reasoning_tokens"].sum()),
        "seconds": round(time.monotonic() - start, 1),
    }
    log.info("%d responses in %.1f s", len(table), record["seconds"])
    with whole(snakemake.output.responses) as part:
        table.to_parquet(part, index=False)
    with whole(snakemake.output.record) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
