"""The workload and the needs of every checkpoint of a study on every benchmark."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from scruple import texts
from scruple.costs.cards import card_of, processor
from scruple.costs.demand import shape_of
from scruple.costs.need import Card, gpus_needed, need
from scruple.costs.workload import Workload, estimate
from scruple.machine.memory import gpus_here, weight_bytes
from scruple.progress import Bar
from scruple.study.model import Benchmark, Study
from scruple.study.types import Job

_PLACE = ["family", "checkpoint", "benchmark"]


def workloads(
    study: Study, items: Mapping[str, Path], memory: Path | None = None, bar: Bar | None = None
) -> dict[Job, Workload]:
    """Return the workload of each job, as exactly as the files on this machine allow.

    Tokens are counted if the items and the checkpoint's tokenizer are here, and estimated if not.

    Args:
        study: the study.
        items: benchmark → file of its items, which need not exist.
        memory: folder in which token counts are cached; None to estimate all tokens.
        bar: creates a progress bar for the counting; None to estimate all tokens.
    """
    found: dict[Job, Workload] = {}
    here = {name: path for name, path in items.items() if path.is_file()}
    usual = {one.name: _estimated(study, one, here.get(one.name)) for one in study.benchmarks}
    for family, name in study.members():
        place = None
        if memory and here:
            from scruple.costs.counts import counted, local_tokenizer  # slow import

            place = local_tokenizer(study.checkpoint(family, name), study.hub)
        for benchmark in study.benchmarks:
            path, work = here.get(benchmark.name), usual[benchmark.name]
            if path and place and memory and bar:
                writing = study.writing(family, name)
                work = counted(study, benchmark, path, place, writing, memory, bar)
            found[family, name, benchmark.name] = work
    return found


def _estimated(study: Study, benchmark: Benchmark, items: Path | None) -> Workload:
    weights = pd.read_parquet(items, columns=["weight"])["weight"].tolist() if items else None
    return estimate(study, benchmark, weights)


def needs(
    study: Study, work: Mapping[Job, Workload], card: Card, on_gpu: bool = True
) -> pd.DataFrame:
    """Return one row per job; FLOPs, cache and hours are NaN if the checkpoint's shape is unknown.

    Args:
        study: the study.
        work: job → its workload.
        card: the GPU or CPU to plan for.
        on_gpu: whether the card is a GPU, which decides what `dtype: auto` means.
    """
    rows = []
    dtype = study.compute.dtype_on(on_gpu)
    for (family, name, benchmark), load in work.items():
        checkpoint = study.checkpoint(family, name)
        shape = shape_of(checkpoint, study.hub)
        row = {"family": family, "checkpoint": name, "params": checkpoint.params,
               "benchmark": benchmark}  # fmt: skip
        weights = weight_bytes(checkpoint.params, dtype) / 1e9
        row |= dict.fromkeys(("flops", "cache_gb", "hours"), float("nan"))
        row |= {
            "prompts": load.prompts, "tokens": load.distinct, "sampled": load.sampled,
            "weights_gb": weights, "gpus": gpus_needed(weights, card),
        }  # fmt: skip
        known = vars(need(shape, load, dtype, card, study.compute.engine)) if shape else {}
        rows.append({**row, **known})
    return pd.DataFrame(rows)


def summary(
    study: Study, items: Mapping[str, Path], asked: Collection[Job], local: bool = True
) -> str:
    """Return one line about the jobs still to run and how long they may take.

    Args:
        study: the study.
        items: benchmark → file of its items, which need not exist.
        asked: the jobs still to run.
        local: whether they run on this machine.
    """
    wanted = study.compute.device != "cpu"
    on_cpu = not wanted or (local and not gpus_here())
    card = processor() if on_cpu else card_of(study)
    table = needs(study, workloads(study, items), card, on_gpu=not on_cpu)
    left = table[[tuple(key) in asked for key in table[_PLACE].to_numpy()]]
    hours = left["hours"]
    known = texts.TIME_ABOUT.format(time=told_hours(hours.sum()))
    without = texts.WITHOUT_SHAPE.format(number=hours.isna().sum())
    return texts.TO_MAKE.format(
        warning=texts.NO_GPU_SEEN if on_cpu and wanted else "",
        tables=len(left),
        time=known if hours.notna().any() else texts.TIME_UNKNOWN,
        where=(texts.ON_PROCESSOR if on_cpu else texts.ON_CARD).format(card=card.name),
        without=without if hours.isna().any() else "",
    )


def told_hours(hours: float) -> str:
    """Format a time in minutes, hours or days, depending on its length."""
    if pd.isna(hours):
        return texts.NOT_KNOWN
    if hours < 1:
        return texts.MINUTES.format(minutes=60 * hours)
    if hours < 48:
        return texts.HOURS.format(hours=hours)
    return texts.DAYS.format(days=hours / 24)
