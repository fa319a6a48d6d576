"""The whole workflow, through snakemake, on three tiny checkpoints of growing size: every number
in its tables against an independent computation."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from conftest import copy_project, run_snakemake, write_yaml
from independent import Model, answer, prompt_of, read_prompts, seed
from independent_metrics import FUNCTIONS, interval, macro

pytestmark = pytest.mark.workflow

BENCHMARKS = [
    {"name": "bbq", "source": "own", "max_items": 26, "orders": 2, "categories": ["Age", "SES"]},
    {"name": "winogender", "source": "own", "max_items": 9},
    {"name": "admissions", "source": "own", "max_items": 5},
]
CONDITIONS = ["q", "q+if", "q+if+cot", "q+match", "q+placebo", "q+cot", "q+follow"]
DECODING = {"max_new_tokens": 5, "temperature": 0.8, "samples": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_checkpoint):
    """Run the study once; return the project's folder and the checkpoints' folders."""
    folder = copy_project(tmp_path_factory.mktemp("workflow") / "project")
    checkpoints = []
    for number, (width, layers) in enumerate([(8, 1), (16, 2), (32, 2)]):
        path, params = make_checkpoint(f"tiny-{number}", width, layers)
        checkpoints.append({"name": f"tiny-{number}", "params": params, "path": str(path)})
    study = {
        "study": "tiny",
        "seed": 7,
        "families": [{"name": "neox", "format": "dialogue", "checkpoints": checkpoints}],
        "benchmarks": BENCHMARKS,
        "conditions": CONDITIONS,
        "wordings": ["b", "a"],
        "decoding": DECODING,
        # two of the three share a process, the third has its own
        "compute": {
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "batch_tokens": 3000,
            "share_below": checkpoints[2]["params"],
        },
    }
    config = write_yaml(folder / "tiny.yaml", study)
    done = run_snakemake(folder, "--configfile", config)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, {entry["name"]: entry["path"] for entry in checkpoints}


def responses_by_hand(folder, kind, checkpoint, path):
    """Ask one checkpoint everything again, prompt by prompt."""
    model, file = Model(path), read_prompts(folder, kind)
    items = pd.read_parquet(folder / f"results/tiny/items/{kind}.parquet").to_dict("records")
    table = pd.read_parquet(folder / f"results/tiny/responses/neox/{checkpoint}/{kind}.parquet")
    by_id = {item["item_id"]: item for item in items}
    rows, reasoned = [], {}
    for given in table.to_dict("records"):
        item = by_id[given["item_id"]]
        keys = [given[k] for k in ("item_id", "condition", "wording", "order", "sample")]
        human, opening, final, lead, forms, asked = prompt_of(
            kind, item, given["condition"], given["wording"], given["scoring"], given["order"], file
        )
        reasoning, tokens = "", 0
        if opening is not None:
            if tuple(keys) not in reasoned:
                reasoned[tuple(keys)] = model.sample(
                    f"Human: {human}\n\nAssistant: {opening}", seed("tiny", 7, kind, *keys),
                    DECODING["max_new_tokens"], DECODING["temperature"], ("\nHuman:", "\nAssistant:"),
                )  # fmt: skip
            reasoning, tokens, why, near = reasoned[tuple(keys)]
            if near > 1e-6:
                assert given["reasoning_end"] == why
                assert given["reasoning"] == reasoning
                assert given["reasoning_tokens"] == tokens
            reasoning = given["reasoning"]
        logs, lengths, mass, best, prompt_tokens = answer(
            model, human, opening, final, lead, forms, reasoning, given["scoring"]
        )
        for name, value in logs.items():
            assert given[f"logprob_{name}"] == pytest.approx(value, abs=2e-5)
        assert given["valid_mass"] == pytest.approx(mass, abs=1e-5)
        assert given["prompt_tokens"] == prompt_tokens
        assert given["answer"] == best
        assert given["target"] == asked
        rows.append({**given, "item": item, "logs": logs, "tokens": lengths, "mass": mass})
    return rows, items


@pytest.mark.parametrize("kind", ["bbq", "winogender", "admissions"])
def test_every_number_of_the_tables(finished, kind):
    folder, checkpoints = finished
    metrics = pd.read_csv(folder / "results/tiny/metrics.csv")
    metrics = metrics[metrics["benchmark"] == kind].fillna(
        {"wording": "", "scoring": "", "subset": ""}
    )
    compared = 0
    for checkpoint, path in checkpoints.items():
        rows, items = responses_by_hand(folder, kind, checkpoint, path)
        groups = {}
        for row in rows:
            groups.setdefault((row["condition"], row["wording"], row["scoring"]), []).append(row)
        expected = len(items) * (2 if kind == "bbq" else 1)  # orders
        for (condition, wording, scoring), group in groups.items():
            repeats = len(group) // len(items)
            assert len(group) == expected * (2 if condition.endswith("+cot") else 1)
            for row in group:
                row["w"] = row["item"]["weight"] / repeats
            mine = metrics[
                (metrics["checkpoint"] == checkpoint)
                & (metrics["condition"] == condition)
                & (metrics["wording"] == wording)
                & (metrics["scoring"] == scoring)
            ]
            compared += compare(kind, mine, group)
    assert compared == len(metrics) > 100


def compare(kind, table, group):
    """Compare one condition's rows of the metrics table with the definitions."""
    for given in table.to_dict("records"):
        function, rows = FUNCTIONS[kind], group
        if given["subset"] == "macro":
            function = macro(function)
        elif given["subset"] not in ("", "pooled"):
            rows = [row for row in group if row["item"]["stratum"] == given["subset"]]
        value, low, high = interval(given["metric"], function, rows)
        place = {key: given[key] for key in ("checkpoint", "condition", "subset", "metric")}
        for name, expected in (("value", value), ("ci_low", low), ("ci_high", high)):
            if math.isnan(expected):
                assert np.isnan(given[name]), (place, name, given[name])
            else:
                assert given[name] == pytest.approx(expected, abs=1e-5), (place, name)
    return len(table)


def test_conditions_are_those_that_a_benchmark_has(finished):
    folder, _ = finished
    metrics = pd.read_csv(folder / "results/tiny/metrics.csv")
    found = metrics.groupby("benchmark")["condition"].unique()
    assert set(found["winogender"]) == set(CONDITIONS)
    assert set(found["bbq"]) == set(found["admissions"]) == set(CONDITIONS) - {"q+match"}


def test_outputs_are_there_and_a_second_run_does_nothing(finished):
    folder, _ = finished
    for kind in ("png", "svg", "pdf"):
        assert (folder / f"figures/tiny/scaling.{kind}").stat().st_size > 5000
    record = json.loads((folder / "results/tiny/provenance.json").read_text())
    assert len(record["jobs"]) == 9
    assert len(record["checkpoints"][0]["files"]["model.safetensors"]["sha256"]) == 64
    again = run_snakemake(folder, "--configfile", "tiny.yaml", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_device_and_batch_size_do_not_ask_for_new_responses(finished):
    folder, _ = finished
    other = write_yaml(folder / "other.yaml", {"compute": {"batch_tokens": 77, "threads": 2}})
    again = run_snakemake(folder, "--configfile", "tiny.yaml", other, "-n")
    assert again.returncode == 0
    # the provenance records the whole config, and nothing else depends on these keys
    assert "write_provenance" in again.stdout
    assert "respond" not in again.stdout


def test_a_new_condition_asks_for_new_responses_only_downstream_of_items(finished):
    folder, _ = finished
    fewer = write_yaml(folder / "fewer.yaml", {"study": "tiny", "conditions": ["q", "q+if"]})
    again = run_snakemake(folder, "--configfile", "tiny.yaml", fewer, "-n")
    assert "respond" in again.stdout
    assert "build_items" not in again.stdout
