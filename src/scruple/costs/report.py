"""The plan as text: needs per job, totals per GPU, and whether this machine is large enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scruple import texts
from scruple.checkpoints.cache import cache_folder, cached_snapshot, free_bytes
from scruple.costs.cards import card_of, cards
from scruple.costs.needs import needs, told_hours, workloads
from scruple.costs.workload import Workload
from scruple.machine.memory import dtype_here, gpus_here, memory_here, too_large
from scruple.progress import Bar
from scruple.study.model import Study
from scruple.study.types import Job


def told(study: Study, items: Mapping[str, Path], memory: Path, bar: Bar) -> str:
    """Return the whole plan as text.

    Args:
        study: the study.
        items: benchmark → file of its items, which need not exist.
        memory: folder in which token counts are cached.
        bar: creates a progress bar for the counting.
    """
    card, work = card_of(study), workloads(study, items, memory, bar)
    table = needs(study, work, card)
    return "\n".join(
        [
            texts.PLAN.format(study=study.study, card=card.name),
            "",
            _printed(table),
            "",
            *_benchmarks(work),
            "",
            *_totals(study, work, table),
            "",
            *_here(study),
            *_disk(study),
        ]
    )


def _printed(table: pd.DataFrame) -> str:
    shown = pd.DataFrame(
        {
            "checkpoint": table["checkpoint"],
            "benchmark": table["benchmark"],
            "prompts": table["prompts"].map("{:,.0f}".format),
            "tokens": table["tokens"].map("{:,.0f}".format),
            "sampled": table["sampled"].map("{:,.0f}".format),
            "FLOPs": table["flops"].map("{:.1e}".format),
            "weights": table["weights_gb"].map("{:.1f} GB".format),
            "cache": table["cache_gb"].map("{:.1f} GB".format),
            "GPUs": table["gpus"].map("{:.0f}".format),
            "time": table["hours"].map(told_hours),
        }
    )
    return shown.replace({"nan": texts.NOT_KNOWN, "nan GB": texts.NOT_KNOWN}).to_string(index=False)


def _benchmarks(work: Mapping[Job, Workload]) -> list[str]:
    """Return one line per distinct workload, naming its checkpoints unless it applies to all."""
    lines: dict[str, list[str]] = {}
    for (_, checkpoint, benchmark), load in work.items():
        line = texts.PLAN_BENCHMARK.format(
            benchmark=benchmark,
            items=load.items,
            prompts=load.prompts,
            rows=load.rows,
            length=load.length,
            known=texts.PLAN_KNOWN[load.known],
        )
        lines.setdefault(line, []).append(checkpoint)
    return [
        line if len(names) * len({key[2] for key in work}) == len(work)
        else f"{line}: {', '.join(names)}"
        for line, names in lines.items()
    ]  # fmt: skip


def _totals(study: Study, work: Mapping[Job, Workload], table: pd.DataFrame) -> list[str]:
    lines = [texts.PLAN_TOTALS]
    for card in cards().values():
        other = needs(study, work, card)
        time, gpus = told_hours(other["hours"].sum()), int(other["gpus"].max())
        lines.append(texts.PLAN_CARD.format(card=card.name, time=time, gpus=gpus))
    unknown = list(dict.fromkeys(table.loc[table["hours"].isna(), "checkpoint"]))
    if unknown:
        lines.append(texts.PLAN_WITHOUT.format(checkpoints=", ".join(unknown)))
    large = table[table["gpus"] > 1]
    if len(large):
        names = ", ".join(dict.fromkeys(large["checkpoint"]))
        lines.append(texts.PLAN_LARGE.format(card=study.compute.card, checkpoints=names))
    return lines


def _here(study: Study) -> list[str]:
    """Return whether all checkpoints fit into this machine's memory, and the remedy if not."""
    memory, whose = memory_here(study.compute.device)
    dtype = dtype_here(study)
    lines = [texts.PLAN_HERE.format(whose=whose, memory=memory / 1e9, dtype=dtype)]
    if not gpus_here():
        lines.append(texts.PLAN_NO_GPU)
    large, remedy = too_large(study, study.members())
    if not large:
        return [*lines, texts.PLAN_FITS]
    return [
        *lines,
        texts.PLAN_FITS_NOT.format(checkpoints=", ".join(large)),
        texts.PLAN_REMEDY.format(remedy=remedy),
    ]


def _disk(study: Study) -> list[str]:
    """Return the size of the missing downloads from the hub, and whether the disk has room."""
    missing = [
        checkpoint.params * 2 / 1e9  # most checkpoints are published in 16 bits
        for family, name in study.members()
        if (checkpoint := study.checkpoint(family, name)).hub
        and cached_snapshot(checkpoint, study.hub) is None
    ]
    if not missing:
        return []
    free = free_bytes() / 1e9
    lines = [texts.PLAN_DISK.format(missing=sum(missing), folder=cache_folder(), free=free)]
    if sum(missing) > free:
        lines.append(texts.PLAN_DISK_FULL)
    return lines
