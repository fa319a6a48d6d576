"""The plan: what every checkpoint needs for every benchmark, and what the whole study takes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scruple.costs.need import Card, Need, need, weights_gb
from scruple.costs.workload import Workload, estimate
from scruple.errors import ScrupleError
from scruple.shapes import Shape
from scruple.study import ROOT, Checkpoint, Study, read_yaml, resolve

_KINDS = {"gpt_neox": "neox", "llama": "llama", "qwen2": "qwen2", "olmo2": "olmo2",
          "bloom": "bloom"}  # fmt: skip
"""Model types of transformers → kinds of shapes."""


def cards() -> dict[str, Card]:
    """Return the cards that are known, by name."""
    known = read_yaml(ROOT / "data" / "cards.yaml")["cards"]
    return {name: Card(name=name, **numbers) for name, numbers in known.items()}


def card_of(study: Study) -> Card:
    """Return the card that the study plans for (ScrupleError if it is not known)."""
    known = cards()
    if study.compute.card not in known:
        raise ScrupleError(
            f"config: `compute.card` is {study.compute.card!r}; known are {', '.join(known)}. Name "
            "one of them, or add yours to data/cards.yaml."
        )
    return known[study.compute.card]


def shape_of(checkpoint: Checkpoint) -> Shape | None:
    """Return a checkpoint's shape: the family file's, or that of a local config; None if unknown.

    What the config of another kind says is read as that of a Llama, which most are like.
    """
    if checkpoint.shape is not None:
        return checkpoint.shape
    path = resolve(checkpoint.path) / "config.json" if checkpoint.path else None
    if path is None or not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return Shape.model_validate(
            {
                "kind": _KINDS.get(content["model_type"], "llama"),
                "layers": content.get("num_hidden_layers") or content["n_layer"],
                "width": content["hidden_size"],
                "heads": content.get("num_attention_heads") or content["n_head"],
                "kv_heads": content.get("num_key_value_heads"),
                "mlp": content.get("intermediate_size"),
                "vocab": content["vocab_size"],
                "tied": content.get("tie_word_embeddings", False),
            }
        )
    except (KeyError, ValueError):
        return None


def workloads(study: Study, items: Mapping[str, Path]) -> dict[str, Workload]:
    """Return what each benchmark asks; of items that are at hand their real number counts.

    Args:
        study: the study.
        items: benchmark → file of its items, where there is one.
    """
    counted = {
        name: len(pd.read_parquet(path, columns=["item_id"]))
        for name, path in items.items()
        if path.is_file()
    }
    return {b.name: estimate(study, b, counted.get(b.name)) for b in study.benchmarks}


def needs(study: Study, work: Mapping[str, Workload], card: Card) -> pd.DataFrame:
    """Return one row per checkpoint and benchmark; empty numbers where the shape is unknown."""
    rows = []
    dtype = "bfloat16" if study.compute.dtype == "auto" else study.compute.dtype
    for family in study.families:
        for checkpoint in family.checkpoints:
            shape = shape_of(checkpoint)
            for benchmark, load in work.items():
                row = {"family": family.name, "checkpoint": checkpoint.name,
                       "params": checkpoint.params, "benchmark": benchmark}  # fmt: skip
                found: Need | None = need(shape, load, dtype, card) if shape else None
                rows.append({**row, **(vars(found) if found else {})})
    return pd.DataFrame(rows)


def told(study: Study, items: Mapping[str, Path]) -> str:
    """Return the whole plan as text."""
    card, work = card_of(study), workloads(study, items)
    table = needs(study, work, card)
    if "hours" not in table:
        return "The plan needs shapes, and none is known: give `shape` in the families' files."
    lines = [
        f"Plan of {study.study} on {card.name}, an estimate (docs/plan.md says from what):",
        "",
    ]
    lines.append(_printed(table))
    lines += [
        "",
        *_benchmarks(work),
        "",
        *_totals(study, work, table),
        *_advice(study, table, card),
    ]
    return "\n".join(lines)


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
            "time": table["hours"].map(_hours),
        }
    )
    return shown.replace({"nan": "?", "nan GB": "?"}).to_string(index=False)


def _benchmarks(work: Mapping[str, Workload]) -> list[str]:
    return [
        f"{name}: {load.items:,} items ({'read' if load.exact else 'by its source'}), "
        f"{load.rows:,} prompts of {load.length:.0f} tokens"
        for name, load in work.items()
    ]


def _totals(study: Study, work: Mapping[str, Workload], table: pd.DataFrame) -> list[str]:
    lines = ["The whole study, one job after the other:"]
    for card in cards().values():
        other = needs(study, work, card)
        gpus = int(other["gpus"].max())
        lines.append(f"  {card.name:<10} {_hours(other['hours'].sum()):>10}, {gpus} at once")
    unknown = sorted(set(table.loc[table["hours"].isna(), "checkpoint"]))
    if unknown:
        lines.append(f"Not counted, since their shape is not known: {', '.join(unknown)}.")
    return lines


def _advice(study: Study, table: pd.DataFrame, card: Card) -> list[str]:
    """Return what does not fit here, and what to change."""
    disk = sum(
        weights_gb(shape, "bfloat16")
        for family in study.families
        for checkpoint in family.checkpoints
        if checkpoint.hub and (shape := shape_of(checkpoint))
    )
    lines = []
    if disk:
        cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
        there = next(path for path in (cache, *cache.parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e9
        lines.append(f"Disk: {disk:.0f} GB of weights for the hub's cache; {free:.0f} GB are free.")
        if disk > free:
            lines.append(
                f"  Does not fit: set HF_HOME to a larger disk than {there}, or take fewer "
                "checkpoints."
            )
    if shutil.which("nvidia-smi") is None:
        lines.append(
            "No GPU is seen here: the times above are not this machine's; a CPU takes hundreds of "
            "times as long."
        )
    large = table[table["gpus"] > 1]
    if len(large):
        names = ", ".join(dict.fromkeys(large["checkpoint"]))
        lines.append(f"More than one {card.name} each: {names}.")
    return lines


def _hours(hours: float) -> str:
    if pd.isna(hours):
        return "?"
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
