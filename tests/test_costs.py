"""The plan: by hand for one case, and printed without network, items or weights."""

import copy
import os
import re
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run_snakemake, write_yaml

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import draw
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.costs.cards import cards
from scruple.costs.counts import count, local_tokenizer
from scruple.costs.need import (
    BANDWIDTH_SHARE,
    COMPUTE_SHARE,
    STEP_PER_LAYER,
    Card,
    gpus_needed,
    need,
    weights_gb,
)
from scruple.costs.needs import shape_of, summary, workloads
from scruple.costs.report import told
from scruple.costs.workload import Workload, estimate
from scruple.engines import load_engine
from scruple.engines.choose import PACK
from scruple.engines.prefix_tree import make_pack, plan_packs
from scruple.errors import ScrupleError
from scruple.fetch.sources import files_of, local_path
from scruple.machine.memory import check_memory_here, gpus_here, in_use
from scruple.prompts.files import load_dialogue
from scruple.prompts.rendering import Renderer
from scruple.responses.table import respond
from scruple.responses.trials import build_trials
from scruple.study.architecture import Shape
from scruple.study.families import NOTHING_UNSAFE, Checkpoint
from scruple.study.model import load_study, read_yaml
from scruple.study.settings import Compute

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SMALL = Shape(kind="llama", layers=2, width=64, heads=4, kv_heads=2, mlp=128, vocab=1000)
CARD = Card("c", memory_gb=80, tflops=100, bandwidth_gbs=1000)


def silent(*_):
    return lambda _: None


def study(**changes):
    return load_study(copy.deepcopy(CONFIG) | changes)


def draw_items(asked, entry):
    """The items of a benchmark that a study asks, as its table has them."""
    module = benchmark_module(entry.kind)
    files = [local_path(asked, entry, file) for file in files_of(asked, entry)]
    table = module.read(files, entry).table
    return draw(table, module.SAMPLING_UNIT, entry.max_items, asked.seed, module.STRATA)


def test_a_case_by_hand():
    attention, mlp, norms = 2 * 64 * 64 + 2 * 64 * 32, 3 * 64 * 128, 2 * 64
    body = 2 * (attention + mlp + norms) + 64
    assert SMALL.body() == body
    assert SMALL.params() == body + 2 * 64_000
    assert SMALL.cache_per_token() == 2 * 2 * 2 * 16
    work = Workload(
        items=10, prompts=10, rows=10, distinct=1000, sampled=0, length=100.0, known="read"
    )
    found = need(SMALL, work, "bfloat16", CARD)
    flops = 1000 * (2 * body + 2 * 2 * 64 * 100) + 10 * 2 * 64_000
    assert found.flops == flops
    assert found.hours == pytest.approx(flops / (1e14 * COMPUTE_SHARE) / 3600)
    assert found.cache_gb == 0
    sampled = Workload(
        items=10, prompts=10, rows=10, distinct=0, sampled=2560, length=100.0, known="read"
    )
    slow = need(SMALL, sampled, "bfloat16", CARD)
    moved = 2 * SMALL.params() + 256 * 100 * SMALL.cache_per_token() * 2
    reading = 10 * 2 * 64_000 / (1e14 * COMPUTE_SHARE)
    assert slow.hours == pytest.approx((reading + 10 * 2 * STEP_PER_LAYER) / 3600)
    slow = need(SMALL, sampled, "bfloat16", Card("slow", 80, 100, 0.01))  # 10 MB a second
    assert slow.hours == pytest.approx((reading + 10 * moved / (1e7 * BANDWIDTH_SHARE)) / 3600)


@pytest.mark.parametrize(("kind", "engine", "packed"), [
    ("llama", "transformers", True), ("bloom", "transformers", False),
    ("gemma3", "transformers", True), ("bloom", "vllm", True), ("llama", "vllm", True),
])  # fmt: skip
def test_what_cannot_be_packed_is_read_in_full(kind, engine, packed):
    shape = Shape(kind=kind, layers=2, width=64, heads=4, vocab=1000, extra=1000)
    work = Workload(
        items=10, prompts=10, rows=30, distinct=1000, sampled=0, length=100.0, known="read"
    )
    found = need(shape, work, "bfloat16", CARD, engine)
    tokens = 1000 if packed else 3000
    assert found.tokens == tokens
    assert found.flops == tokens * (2 * shape.body() + 2 * 2 * 64 * 100) + 30 * 2 * 64_000
    assert found.weights_gb == pytest.approx(2e-9 * (shape.body() + shape.embedding() + 1000))


def test_large_checkpoints_take_several_cards():
    large = Shape(kind="bloom", layers=70, width=14336, heads=112, vocab=250880, tied=True)
    assert weights_gb(large, "bfloat16") == pytest.approx(352.5, abs=0.1)
    assert gpus_needed(weights_gb(large, "bfloat16"), cards()["a100-80"]) == 7  # 352.5 · 1.15 / 64
    assert gpus_needed(weights_gb(large, "float32"), cards()["a100-80"]) == 13
    assert in_use(1.0) > 1


def test_work_grows_with_what_is_asked():
    bbq = study().benchmark("bbq")
    one = estimate(study(), bbq, [1.0] * 1000)
    assert one.known == "read"
    assert estimate(study(), bbq).known == "estimated"
    assert estimate(study(), bbq, [1.0] * 2000).distinct == 2 * one.distinct
    assert one.prompts == 6 * 2 * 1000  # conditions, scorings
    assert one.sampled == 2 * 1000 * 256  # q+if+cot and q+cot, once for both scorings
    more = estimate(study(wordings=["a", "b"]), bbq, [1.0] * 1000)
    assert one.rows < more.rows < 2 * one.rows  # the plain question has one wording
    plain = estimate(study(conditions=["q"]), bbq, [1.0] * 1000)
    assert plain.sampled == 0
    assert plain.rows == 4000  # a letter, and three texts
    assert estimate(study(), bbq).items == 12_000
    profiles = study().benchmark("admissions")
    assert estimate(study(), profiles).items == 1200  # each is asked as two people
    assert estimate(study(), bbq.model_copy(update={"max_items": None})).items == 58_492
    age = bbq.model_copy(update={"max_items": None, "categories": ("Age", "SES")})
    assert estimate(study(), age).items == 3680 + 6864


@pytest.mark.parametrize(
    ("kind", "decoding"),
    [
        ("admissions", {"samples": 2, "max_repeats": 8}),
        ("admissions", {"max_repeats": 1}),
        ("winogender", {"samples": 3, "max_repeats": 5}),
        ("bbq", {"samples": 2}),
    ],
)
def test_what_is_planned_is_what_is_asked(tmp_path, kind, decoding):
    """Items that stand for several people are reasoned about several times, in the plan too."""
    asked = study(
        benchmarks=[{"name": kind, "source": "own", "max_items": 20}],
        decoding={"max_new_tokens": 7, **decoding},
    )
    entry = asked.benchmarks[0]
    items = draw_items(asked, entry)
    if kind == "admissions":
        items["weight"] = [11.0 if k % 3 else 2.0 for k in range(len(items))]
    items.to_parquet(tmp_path / "items.parquet")
    planned = workloads(asked, {kind: tmp_path / "items.parquet"})
    trials = list(build_trials(asked, entry, items))
    draws = {trial.draw for trial in trials if trial.reasons}
    for work in planned.values():
        assert (work.known, work.items, work.prompts) == ("read", len(items), len(trials))
        assert work.sampled == 7 * len(draws)


def test_without_items_the_weights_of_the_source_are_planned_for():
    entry = study().benchmark("admissions")
    whole = entry.model_copy(update={"max_items": None})
    weights = read_yaml(ROOT / "data/tokens.yaml")["admissions"]["weights"]["upstream"]
    assert sum(weights.values()) == 3888
    many = study(decoding={"max_new_tokens": 1, "max_repeats": 8})
    draws = sum(number * min(weight, 8) for weight, number in weights.items())
    assert estimate(many, whole).sampled == 2 * draws  # q+if+cot and q+cot
    assert estimate(study(decoding={"max_new_tokens": 1}), whole).sampled == 2 * 3888


def test_shapes_come_from_local_configs_too():
    folder = "data/control/positive/seed-11/d64/step3000"
    local = Checkpoint(name="d64", params=221_696, path=folder)
    assert shape_of(local, NOTHING_UNSAFE).params() == 221_696
    assert (
        shape_of(Checkpoint(name="x", params=10, package="p", file="f.gguf"), NOTHING_UNSAFE)
        is None
    )


def test_the_plan_says_what_is_unknown_and_what_does_not_fit(monkeypatch):
    families = [
        {"name": "f", "checkpoints": [
            {"name": "known", "params": SMALL.params(), "hub": "a/b", "shape": SMALL.model_dump()},
            {"name": "gguf", "params": 10, "package": "p", "file": "f.gguf"},
        ]},
    ]  # fmt: skip
    text = told(study(families=families), {}, Path(), silent)
    assert "Without gguf: give their `shape`" in text
    assert text.count("known") >= 3
    big = told(study(families=["llm-jp-3"]), {}, Path(), silent)
    assert "More than one a100-80 each: llm-jp-3-172b" in big
    with pytest.raises(ScrupleError, match=r"`compute\.card` is 'abacus'; known are .*a100-80"):
        told(study(compute={"card": "abacus"}), {}, Path(), silent)


def test_it_is_printed_every_time_and_nothing_is_fetched(project):
    overlay = write_yaml(project / "p.yaml", {"study": "p", "families": ["pythia", "olmo2"]})
    for _ in range(2):
        done = run_snakemake(project, "plan", "--configfile", overlay)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "olmo2-32b-instruct" in done.stdout
        assert "The whole study, one job after the other:" in done.stdout
    assert not (project / "results" / "sources").exists()


def test_counts_are_those_of_what_the_engine_reads(make_checkpoint, tmp_path, monkeypatch):
    path, params = make_checkpoint("counted", 8, 1)
    family = {"name": "f", "checkpoints": [{"name": "c", "params": params, "path": str(path)}]}
    own = {"name": "bbq", "source": "own", "scoring": ["letter", "text"]}
    asked = study(families=[family], benchmarks=[own], decoding={"max_new_tokens": 7})
    entry, table = asked.benchmarks[0], tmp_path / "bbq.parquet"
    files = [local_path(asked, entry, file) for file in files_of(asked, entry)]
    items = benchmark_module("bbq").read(files, entry).table.iloc[:12]
    items.to_parquet(table)
    work = workloads(asked, {"bbq": table}, tmp_path / "memory", silent)["f", "c", "bbq"]
    assert (work.known, work.items) == ("counted", 12)
    assert work.sampled == 2 * 12 * 7
    engine = load_engine(fetch_checkpoint(family_of(asked), silent), Compute(device="cpu"), 1)
    read, score = [], engine._forward.batches
    monkeypatch.setattr(
        engine._forward, "batches", lambda rows: read.append(list(rows)) or score(rows)
    )
    plain = asked.model_copy(update={"conditions": ("q", "q+if", "q+placebo")})
    writing = plain.writing("f", "c")
    renderer = Renderer(writing, load_dialogue(plain, entry), engine.tokenizer, "c")
    list(respond(plain, entry, items, engine, renderer, "c", silent))
    fewer = count(
        plain,
        entry,
        items,
        load_tokenizer(local_tokenizer(family_of(asked), asked.hub)),
        writing,
        silent,
    )
    assert fewer.prompts == 12 * 3 * 2
    assert fewer.rows == sum(map(len, read))
    assert fewer.length == pytest.approx(sum(len(r) for rows in read for r in rows) / fewer.rows)
    assert fewer.distinct == sum(
        len(make_pack(p).tokens) for r in read for p in plan_packs(r, PACK)
    )
    # what was counted once is remembered, and another wording is counted anew
    monkeypatch.setattr("scruple.costs.counts.count", None)
    assert workloads(asked, {"bbq": table}, tmp_path / "memory", silent)["f", "c", "bbq"] == work
    with pytest.raises(TypeError):
        workloads(plain, {"bbq": table}, tmp_path / "memory", silent)


def family_of(asked):
    return asked.families[0].checkpoints[0]


def test_the_line_before_a_run_counts_what_is_left(monkeypatch):
    monkeypatch.setattr("scruple.costs.needs.gpus_here", lambda: [80 * 10**9])
    whole = [("pythia", c.name, b.name) for c in study().families[0].checkpoints
             for b in study().benchmarks]  # fmt: skip
    assert "24 response tables are to be made, about 4" in summary(study(), {}, whole)
    assert "1 response tables are to be made, about 2" in summary(study(), {}, whole[:1])


def test_without_a_gpu_the_line_before_a_run_warns_with_the_time_on_the_processor(monkeypatch):
    monkeypatch.setattr("scruple.costs.needs.gpus_here", list)
    monkeypatch.setattr("scruple.costs.cards.psutil.cpu_count", lambda logical: 2)
    whole = [("pythia", c.name, b.name) for c in study().families[0].checkpoints
             for b in study().benchmarks]  # fmt: skip
    told = summary(study(), {}, whole)
    assert told.startswith("WARNING: no GPU is seen here. Plan: 24 response tables")
    days = float(re.search(r"about ([\d.]+) days on this machine's 2 CPU cores", told)[1])
    # 1.28e18 operations at .4 of .19e12 a second are 195 days, were all of them bound by arithmetic
    assert 100 < days < 200
    # on a cluster the submitting machine's processor is of no interest, nor is a GPU's time here
    assert "on one a100-80 after another" in summary(study(), {}, whole, local=False)
    chosen = summary(study(compute={"device": "cpu"}), {}, whole)
    assert "WARNING" not in chosen
    assert "on this machine's 2 CPU cores" in chosen


@pytest.mark.parametrize(
    ("gpus", "dtype", "needed", "there"),
    [
        ([], "auto", "54.5 GB", "no GPU and 25.0 GB"),  # float32
        ([24 * 10**9], "auto", "27.2 GB", "the GPU here has 24.0 GB"),
        ([24 * 10**9] * 2, "float32", "54.5 GB", "2 GPUs here have 48.0 GB"),
    ],
)
def test_checkpoints_larger_than_the_memory_are_refused(monkeypatch, gpus, dtype, needed, there):
    monkeypatch.setattr("scruple.machine.memory.gpus_here", lambda: gpus)
    memory = namedtuple("memory", "total")
    monkeypatch.setattr("scruple.machine.memory.psutil.virtual_memory", lambda: memory(25 * 10**9))
    asked = study(compute={"dtype": dtype})
    check_memory_here(asked, [("pythia", "pythia-2.8b")])
    with pytest.raises(ScrupleError) as refusal:
        check_memory_here(asked, [("pythia", "pythia-2.8b"), ("pythia", "pythia-12b")])
    assert f"pythia-12b ({needed}): more memory than there is" in str(refusal.value)
    assert there in str(refusal.value)
    assert "set `max_params: 2775208960`" in str(refusal.value)


def test_gpus_are_those_that_the_driver_names(monkeypatch, tmp_path):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nprintf '0, GPU-a, 81559\\n1, GPU-b, 81559\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here() == [81559 * 1024**2] * 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert len(gpus_here()) == 1
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert gpus_here() == []
