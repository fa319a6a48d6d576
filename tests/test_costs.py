"""The plan: by hand for one case, and printed without network, items or weights."""

import copy

import pytest
import yaml
from conftest import ROOT, run_snakemake, write_yaml

from scruple.costs.need import (
    BANDWIDTH_SHARE,
    COMPUTE_SHARE,
    OVERHEAD,
    Card,
    gpus_needed,
    need,
    weights_gb,
)
from scruple.costs.plan import cards, shape_of, told
from scruple.costs.workload import Workload, estimate
from scruple.errors import ScrupleError
from scruple.shapes import Shape
from scruple.study import Checkpoint, load_study

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SMALL = Shape(kind="llama", layers=2, width=64, heads=4, kv_heads=2, mlp=128, vocab=1000)
CARD = Card("c", memory_gb=80, tflops=100, bandwidth_gbs=1000)


def study(**changes):
    return load_study(copy.deepcopy(CONFIG) | changes)


def test_a_case_by_hand():
    attention, mlp, norms = 2 * 64 * 64 + 2 * 64 * 32, 3 * 64 * 128, 2 * 64
    body = 2 * (attention + mlp + norms) + 64
    assert SMALL.body() == body
    assert SMALL.params() == body + 2 * 64_000
    assert SMALL.cache_per_token() == 2 * 2 * 2 * 16
    work = Workload(items=10, rows=10, distinct=1000, sampled=0, length=100.0, exact=True)
    found = need(SMALL, work, "bfloat16", CARD)
    flops = 1000 * (2 * body + 2 * 2 * 64 * 100) + 10 * 2 * 64_000
    assert found.flops == flops
    assert found.hours == pytest.approx(flops / (1e14 * COMPUTE_SHARE) / 3600)
    assert found.cache_gb == 0
    sampled = Workload(items=10, rows=10, distinct=0, sampled=2560, length=100.0, exact=True)
    slow = need(SMALL, sampled, "bfloat16", CARD)
    moved = 2 * SMALL.params() + 256 * 100 * SMALL.cache_per_token() * 2
    reading = 10 * 2 * 64_000 / (1e14 * COMPUTE_SHARE)
    seconds = reading + 10 * moved / (1e12 * BANDWIDTH_SHARE)
    assert slow.hours == pytest.approx(seconds / 3600)


def test_large_checkpoints_take_several_cards():
    large = Shape(kind="bloom", layers=70, width=14336, heads=112, vocab=250880, tied=True)
    assert weights_gb(large, "bfloat16") == pytest.approx(352.5, abs=0.1)
    assert gpus_needed(large, "bfloat16", cards()["a100-80"]) == 7  # 352.5 · 1.15 / 64
    assert gpus_needed(large, "float32", cards()["a100-80"]) == 13
    assert OVERHEAD > 1


def test_work_grows_with_what_is_asked():
    bbq = study().benchmark("bbq")
    one = estimate(study(), bbq, 1000)
    assert one.exact
    assert estimate(study(), bbq, 2000).distinct == 2 * one.distinct
    assert one.sampled == 1000 * 256  # once for both scorings
    more = estimate(study(wordings=["a", "b"]), bbq, 1000)
    assert one.rows < more.rows < 2 * one.rows  # the plain question has one wording
    plain = estimate(study(conditions=["q"]), bbq, 1000)
    assert plain.sampled == 0
    assert plain.rows == 4000  # a letter, and three texts
    assert estimate(study(), bbq).items == 6000
    assert estimate(study(), bbq.model_copy(update={"max_items": None})).items == 58_492
    age = bbq.model_copy(update={"max_items": None, "categories": ("Age", "SES")})
    assert estimate(study(), age).items == 3680 + 6864


def test_shapes_come_from_local_configs_too():
    folder = "data/control/positive/seed-11/d64/step3000"
    local = Checkpoint(name="d64", params=221_696, path=folder)
    assert shape_of(local).params() == 221_696
    assert shape_of(Checkpoint(name="x", params=10, package="p", file="f.gguf")) is None


def test_the_plan_says_what_is_unknown_and_what_does_not_fit(monkeypatch):
    families = [
        {"name": "f", "checkpoints": [
            {"name": "known", "params": SMALL.params(), "hub": "a/b", "shape": SMALL.model_dump()},
            {"name": "gguf", "params": 10, "package": "p", "file": "f.gguf"},
        ]},
    ]  # fmt: skip
    text = told(study(families=families), {})
    assert "Not counted, since their shape is not known: gguf." in text
    assert text.count("known") >= 3
    big = told(study(families=["llm-jp-3"]), {})
    assert "More than one a100-80 each: llm-jp-3-172b" in big
    with pytest.raises(ScrupleError, match=r"`compute\.card` is 'abacus'; known are .*a100-80"):
        told(study(compute={"card": "abacus"}), {})


def test_it_is_printed_every_time_and_nothing_is_fetched(project):
    overlay = write_yaml(project / "p.yaml", {"study": "p", "families": ["pythia", "olmo2"]})
    for _ in range(2):
        done = run_snakemake(project, "plan", "--configfile", overlay)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "olmo2-32b-instruct" in done.stdout
        assert "The whole study, one job after the other:" in done.stdout
    assert not (project / "results" / "sources").exists()
