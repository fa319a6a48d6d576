"""Measure a control checkpoint on a large part of its world, or on all of it.

Trials and metrics come from the same pipeline that studies use.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import BenchmarkModule
from scruple.benchmarks.tally import conditions, sum_up
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.control.items import WHOLE, Part, write_items
from scruple.control.members import Member
from scruple.engines import Engine, load_engine
from scruple.prompts.files import load_dialogue
from scruple.prompts.rendering import Renderer
from scruple.responses.table import Bar, respond
from scruple.statistics.clusters import ClusterSums, jackknife
from scruple.statistics.effects import difference
from scruple.statistics.metric import Metric
from scruple.study.families import Writing
from scruple.study.model import Study, load_study

PRIMARY = {"bbq": "bias_ambiguous_expected", "winogender": "slope", "admissions": "admission_gap"}
"""Kind of benchmark → the measure of bias that the criteria use."""
_LEVEL = 0.9  # level of intervals, which equals two one-sided tests at 5 %
_CONDITIONS = ("q", "q+if", "q+if+cot", "q+match", "q+placebo", "q+cot", "q+follow")


@dataclass(frozen=True)
class Effort:
    """How many items and samples are asked.

    Attributes:
        part: the part of the world's items.
        samples: kind of benchmark → reasonings per item; a benchmark with few items needs many.
    """

    part: Part
    samples: Mapping[str, int]


CHECK = Effort(
    replace(WHOLE, templates=32, orders=3), {"bbq": 1, "winogender": 24, "admissions": 32}
)
"""Enough for the criteria: the half-width of a 90 % interval is at most half the margin."""
TRUTH = Effort(WHOLE, {"bbq": 1, "winogender": 48, "admissions": 128})
"""All items: the values that the intervals of an ordinary study should cover."""
EFFORTS = {"check": CHECK, "truth": TRUTH}


def study_of(member: Member, step: int, folder: Path) -> Study:
    """Return a study of one checkpoint on all three benchmarks.

    Args:
        member: the training run.
        step: the training step of the checkpoint.
        folder: the folder of the checkpoint.
    """
    model = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    checkpoint = {
        "name": f"d{member.width}-step{step}",
        "params": count_params(model),
        "step": step,
        "path": str(folder.resolve()),
    }
    family = {
        "name": f"control-{member.twin}-seed{member.seed}",
        "format": "dialogue",
        "primary_scoring": "text",
        "checkpoints": [checkpoint],
    }
    return load_study(
        {
            "study": "control-check",
            "seed": 2023,
            "language": "control",
            "families": [family],
            "benchmarks": [
                {"name": "bbq", "source": "control", "scoring": ["text"]},
                {"name": "winogender", "source": "control"},
                {"name": "admissions", "source": "control"},
            ],
            "conditions": list(_CONDITIONS),
            "decoding": {"max_new_tokens": 10},
            "compute": {"device": "cpu", "dtype": "float32", "threads": 1},
        }
    )


def count_params(config: Mapping[str, Any]) -> int:
    """Return the number of parameters of a GPT-NeoX with untied embeddings, from its config.

    Each layer has query, key, value and output projections (4d² + 4d), two feed-forward layers of
    width f (2df + d + f) and two norms (4d). The rest is two embeddings of v words (2vd) and the
    final norm (2d).
    """
    d, f, v = (config[name] for name in ("hidden_size", "intermediate_size", "vocab_size"))
    layer = 4 * d * d + 4 * d + 2 * d * f + d + f + 4 * d
    return int(config["num_hidden_layers"] * layer + 2 * v * d + 2 * d)


def measure_member(
    member: Member, step: int, folder: Path, effort: Effort, bar: Bar
) -> pd.DataFrame:
    """Measure all metrics of one checkpoint on all three benchmarks.

    Args:
        member: the training run.
        step: the training step of the checkpoint.
        folder: the folder of the checkpoint.
        effort: how much to ask.
        bar: creates progress bars.

    Returns:
        One row per benchmark × condition × metric, with `twin`, `seed`, `width`, `params` and
        `step`. `value` has a 90 % interval over clusters (`low`, `high`). `standard_error` is its
        error as an estimate of the whole world's value (0 if it uses all items and nothing was
        sampled). Rows of the measure of bias also have the `difference` to `q` with its 90 %
        interval. `n_items` and `n_clusters` are the numbers of items and clusters.
    """
    study = study_of(member, step, folder)
    checkpoint = study.families[0].checkpoints[0]
    manifest = fetch_checkpoint(checkpoint, lambda _: None)
    engine = load_engine(manifest, study.compute, 1)
    keys: dict[str, int | str] = {
        "twin": member.twin, "seed": member.seed, "width": member.width,
        "params": checkpoint.params, "step": step,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as items:
        write_items(Path(items), effort.part)
        tables = [
            _measure_benchmark(study, kind, Path(items) / kind, engine, effort, bar)
            for kind in PRIMARY
        ]
    table = pd.concat(tables, ignore_index=True)
    for place, (name, value) in enumerate(keys.items()):
        table.insert(place, name, value)
    return table


def _measure_benchmark(
    study: Study, kind: str, folder: Path, engine: Engine, effort: Effort, bar: Bar
) -> pd.DataFrame:
    module, benchmark = benchmark_module(kind), study.benchmark(kind)
    items = module.read(sorted(folder.iterdir()), benchmark).table
    decoding = study.decoding.model_copy(update={"samples": effort.samples[kind]})
    study = study.model_copy(update={"decoding": decoding})
    name = study.families[0].checkpoints[0].name
    writing = Writing("dialogue", None, study.date)
    renderer = Renderer(writing, load_dialogue(study, benchmark), engine.tokenizer, name)
    pieces = respond(study, benchmark, items, engine, renderer, name, bar)
    responses = pd.concat(pieces, ignore_index=True)
    joined = responses.merge(items, on="item_id", how="left", validate="many_to_one")
    whole = effort.part.places == WHOLE.places and kind != "bbq"
    plain: ClusterSums | None = None
    rows = []
    for place, group in conditions(joined):
        sums = sum_up(module.tally_of(group))
        plain = sums if place["condition"] == "q" else plain
        sampled = "cot" in str(place["condition"])
        drawn = _draws(module, group, sampled and whole)
        for metric in module.metrics_of(sums.columns):
            exact = not sampled and (whole or (effort.part == WHOLE and "_ambig" in metric.name))
            row = {"benchmark": kind, "condition": place["condition"], "metric": metric.name}
            row |= _estimates(metric, sums, drawn, exact)
            if metric.name == PRIMARY[kind] and plain is not None:
                row |= _difference(metric, sums, plain)
            rows.append(row)
    return pd.DataFrame(rows)


def _draws(module: BenchmarkModule, group: pd.DataFrame, all_items: bool) -> ClusterSums:
    """Return sums per unit drawn at random: per item, or per reasoning if all items are asked.

    If each item has one reasoning only (BBQ), the variance between items stands in for that between
    reasonings, which is smaller.
    """
    if not all_items:
        return sum_up(module.tally_of(group.assign(cluster=group["item_id"])))
    draw = group["item_id"] + "|" + group["sample"].astype(str)
    return sum_up(module.tally_of(group.assign(stratum=group["item_id"], cluster=draw)))


def _estimates(
    metric: Metric, sums: ClusterSums, drawn: ClusterSums, exact: bool
) -> dict[str, Any]:
    counted = metric.counted(sums)
    present = sums.keep(counted > 0)
    estimate = jackknife(
        present, metric.function, metric.weighed(present), metric.transform, metric.inverse, _LEVEL
    )
    here = drawn.keep(metric.counted(drawn) > 0)
    error = 0.0 if exact else _standard_error(metric, here)
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": error,
        "n_items": round(counted.sum()),
        "n_clusters": int((counted > 0).sum()),
    }


def _standard_error(metric: Metric, drawn: ClusterSums) -> float:
    """Return the standard error of a value over draws within strata of equal weight.

    The jackknife removes the weight of the draw that it leaves out, although the stratum's weight
    is fixed. Its error is therefore too small by a factor of (n − 1)/n, with n draws per stratum;
    this is corrected.
    """
    n = len(drawn.sums) / len(drawn.strata)
    return jackknife(drawn, metric.function).error * n / (n - 1)


def _difference(metric: Metric, sums: ClusterSums, plain: ClusterSums) -> dict[str, Any]:
    estimate = difference(sums, plain, metric).estimate(_LEVEL)
    return {
        "difference": estimate.value,
        "difference_low": estimate.low,
        "difference_high": estimate.high,
    }
