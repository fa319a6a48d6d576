"""The plan as text: a table, totals on known cards, what fits here and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

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
        items: benchmark → file of its items, where there is one.
        memory: folder in which counts of tokens are kept.
        bar: makes a progress bar for counting.
    """
    card, work = card_of(study), workloads(study, items, memory, bar)
    table = needs(study, work, card)
    return "\n".join(
        [
            f"Plan of {study.study} on {card.name}; docs/plan.md says from what:",
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
    return shown.replace({"nan": "?", "nan GB": "?"}).to_string(index=False)


_HOW = {
    "counted": "counted with the checkpoint's own tokenizer",
    "read": "items read, tokens estimated: no tokenizer is here",
    "estimated": "estimated: items are not here yet",
}


def _benchmarks(work: Mapping[Job, Workload]) -> list[str]:
    """Return a line per benchmark and way of knowing what it asks."""
    lines: dict[str, list[str]] = {}
    for (_, checkpoint, benchmark), load in work.items():
        line = (
            f"{benchmark}: {load.items:,} items, {load.prompts:,} prompts, read as {load.rows:,} "
            f"texts of {load.length:.0f} tokens ({_HOW[load.known]})"
        )
        lines.setdefault(line, []).append(checkpoint)
    return [
        line if len(names) * len({key[2] for key in work}) == len(work)
        else f"{line}: {', '.join(names)}"
        for line, names in lines.items()
    ]  # fmt: skip


def _totals(study: Study, work: Mapping[Job, Workload], table: pd.DataFrame) -> list[str]:
    lines = ["The whole study, one job after the other:"]
    for card in cards().values():
        other = needs(study, work, card)
        gpus = int(other["gpus"].max())
        lines.append(f"  {card.name:<10} {told_hours(other['hours'].sum()):>10}, {gpus} at once")
    unknown = list(dict.fromkeys(table.loc[table["hours"].isna(), "checkpoint"]))
    if unknown:
        lines.append(
            f"  Without {', '.join(unknown)}: give their `shape` in the family's file, and their "
            "time can be worked out."
        )
    large = table[table["gpus"] > 1]
    if len(large):
        names = ", ".join(dict.fromkeys(large["checkpoint"]))
        lines.append(f"More than one {study.compute.card} each: {names}.")
    return lines


def _here(study: Study) -> list[str]:
    """Return what fits into this machine's memory, and what to change if not all does."""
    memory, whose = memory_here(study.compute.device)
    lines = [f"Here: {whose} {memory / 1e9:.0f} GB of memory; weights are in {dtype_here(study)}."]
    if not gpus_here():
        lines.append(
            "  The times above are not this machine's: by bandwidth and rate, two CPU cores take "
            "some 60 (sampling) to 1,700 (reading) times as long as an A100."
        )
    large, remedy = too_large(study, study.members())
    if not large:
        return [*lines, "  All checkpoints fit."]
    return [
        *lines,
        f"  Does not fit: {', '.join(large)}.",
        f"  To run here, {remedy}; else run where the GPUs are.",
    ]


def _disk(study: Study) -> list[str]:
    """Return what the hub's cache still has to take in, and whether it can."""
    missing = [
        checkpoint.params * 2 / 1e9  # most are published in 16 bits
        for family, name in study.members()
        if (checkpoint := study.checkpoint(family, name)).hub
        and cached_snapshot(checkpoint, study.hub) is None
    ]
    if not missing:
        return []
    free = free_bytes() / 1e9
    lines = [
        f"Disk: about {sum(missing):.0f} GB of weights are to be downloaded into the hub's cache "
        f"({cache_folder()}); {free:.0f} GB are free."
    ]
    if sum(missing) > free:
        lines.append("  Does not fit: set HF_HOME to a folder on a larger disk, or `max_params`.")
    return lines
