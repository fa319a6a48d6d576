"""What snakemake is told of jobs follows from checkpoints' sizes and the config, on every machine."""

import math
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, copy_project, run_snakemake, write_yaml
from snakemake.utils import update_config

from scruple.costs.demand import HOST_MB, SAFETY, START_MINUTES
from scruple.errors import ScrupleError
from scruple.machine.gpus import Gpu
from scruple.machine.slurm import check_cluster
from scruple.study.model import load_study
from scruple.workflow.graph import Plan

GB = 10**9


def config(*overlays, **compute):
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in overlays:
        update_config(content, yaml.safe_load((ROOT / "studies" / f"{name}.yaml").read_text()))
    update_config(content, {"compute": compute})
    return content


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Return a function: (checkpoint, benchmark) → a rule's functions and their wildcards."""
    monkeypatch.chdir(tmp_path)

    def make(checkpoint, benchmark, gpus=None, overlays=(), **compute):
        found = [Gpu(str(k), f"GPU-{k}", memory) for k, memory in enumerate(gpus or [])]
        monkeypatch.setattr("scruple.workflow.resources.visible_gpus", lambda: found)
        plan = Plan(config(*overlays, **compute), local=lambda: gpus is not None)
        family = plan.study.families[0].name
        place = SimpleNamespace(family=family, checkpoint=checkpoint, benchmark=benchmark)
        return plan.resources.rule(), place

    return make


@pytest.mark.parametrize(
    ("checkpoint", "compute", "gpus"),
    [
        # 23.7 GB in bfloat16 · 1.15 in 80 % of a card
        ("pythia-12b", {}, 1),
        ("pythia-12b", {"gpu_memory": 24}, 2),
        ("pythia-12b", {"card": "rtx-4090"}, 2),
        ("pythia-12b", {"gpu_memory": 24, "dtype": "float32"}, 3),
        ("pythia-12b", {"gpu_memory": 12}, 3),
        ("pythia-70m", {"gpu_memory": 12}, 1),
        ("pythia-12b", {"device": "cpu"}, 0),
    ],
)
def test_gpus_follow_from_the_weights_and_the_memory_of_one(asked, checkpoint, compute, gpus):
    rule, place = asked(checkpoint, "bbq", **compute)
    assert rule.gpus(place) == gpus


@pytest.mark.parametrize(
    ("here", "compute", "gpus"),
    [
        ([], {}, 0),  # nothing to compute on
        ([80 * GB], {}, 1),
        ([24 * GB] * 4, {}, 2),
        ([24 * GB] * 4, {"gpu_memory": 80}, 1),  # the config goes before what is found
        ([80 * GB, 16 * GB], {}, 2),  # any two of them, so the smaller one counts
        ([30 * GB], {}, 1),  # wants two, and fits into one
        ([80 * GB], {"device": "cpu"}, 0),
        ([0, 0], {}, 1),  # there are some, and no driver tells their memory
    ],
)
def test_on_this_machine_its_gpus_count(asked, here, compute, gpus):
    rule, place = asked("pythia-12b", "bbq", gpus=here, **compute)
    assert rule.gpus(place) == gpus


def test_time_and_memory_follow_from_the_plan_and_double_with_each_attempt(asked):
    rule, place = asked("pythia-12b", "bbq")
    first = rule.minutes(place, attempt=1)
    # 1.6 h, as the plan prints, in two shards
    assert first == START_MINUTES + math.ceil(SAFETY * 60 * 1.586 / 2)
    assert [rule.minutes(place, attempt=k) for k in (2, 3)] == [2 * first, 4 * first]
    # of the weights, a file at a time goes through the machine's memory
    assert rule.memory(place, attempt=1) == HOST_MB["cuda"] + 10_000
    assert rule.memory(place, attempt=3) == 4 * rule.memory(place, attempt=1)
    small, place = asked("pythia-70m", "bbq")
    assert small.memory(place, attempt=1) == HOST_MB["cuda"] + 141
    on_cpu, place = asked("pythia-12b", "bbq", device="cpu")
    assert on_cpu.memory(place, attempt=1) == HOST_MB["cpu"] + math.ceil(11_846_072_320 * 4.6 / 1e6)


def test_what_takes_longest_goes_first_and_what_is_over_soon_goes_together(asked):
    large, place = asked("pythia-12b", "bbq")
    assert large.group(place) is None
    small, other = asked("pythia-70m", "winogender")
    assert small.group(other) == "short"
    assert large.priority(place) > small.priority(other)
    here, place = asked("pythia-70m", "winogender", gpus=[80 * GB])
    assert here.group(place) is None


def test_large_benchmarks_of_large_checkpoints_are_split_by_the_plan(asked, tmp_path):
    counts = {}
    for name in ("pythia-70m", "pythia-6.9b", "pythia-12b"):
        plan = Plan(config("pythia-full"))
        counts[name] = len(plan.resources.shards(("pythia", name, "bbq")))
    # .4 h, 9 h and 15.4 h on the card
    assert counts == {"pythia-70m": 1, "pythia-6.9b": 9, "pythia-12b": 16}
    coarser = Plan(config("pythia-full", shard_hours=4.0))
    assert len(coarser.resources.shards(("pythia", "pythia-12b", "bbq"))) == 4
    # a table that is finished keeps its number
    record = tmp_path / "results/pythia-full/responses/pythia/pythia-12b/bbq.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"shards": 7}')
    kept = Plan(config("pythia-full"))
    assert len(kept.resources.shards(("pythia", "pythia-12b", "bbq"))) == 7
    for broken in ("", "{", "[7]", '{"shards": null}'):
        record.write_text(broken)
        anew = Plan(config("pythia-full"))
        assert len(anew.resources.shards(("pythia", "pythia-12b", "bbq"))) == 16


def test_a_limit_below_a_jobs_demand_is_refused():
    placing = Plan(config(gpu_memory=24), local=lambda: False).resources
    places = [("pythia", name, "bbq") for name in ("pythia-70m", "pythia-12b")]
    placing.refuse_beyond(None, places)
    placing.refuse_beyond(2, places)
    placing.refuse_beyond(1, places[:1])
    with pytest.raises(ScrupleError, match=r"^pythia-12b \(2\): more GPUs than .* which is 1 "):
        placing.refuse_beyond(1, places)
    with pytest.raises(ScrupleError, match=r"pythia-70m \(1\), pythia-12b \(2\): .* which is 0"):
        placing.refuse_beyond(0, places)


@pytest.mark.parametrize("key", ["gpu_memory", "shard_hours"])
@pytest.mark.parametrize("value", [0, -1, "much"])
def test_numbers_that_are_none_are_refused(key, value):
    with pytest.raises(ScrupleError, match=f"compute.{key}"):
        load_study(config(**{key: value}))


@pytest.mark.workflow
def test_the_limit_is_refused_before_the_first_job_and_the_workstation_takes_all(
    tmp_path, monkeypatch, make_checkpoint
):
    folder = copy_project(tmp_path / "project")
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\nprintf '0, GPU-a, 100\\n1, GPU-b, 100\\n2, GPU-c, 100\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(driver.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    path, params = make_checkpoint("wide", 32, 2)
    checkpoint = {"name": "wide", "params": params, "path": str(path)}
    study = {
        "study": "limit",
        "families": [{"name": "f", "format": "dialogue", "checkpoints": [checkpoint]}],
        "benchmarks": [{"name": "winogender", "source": "own", "max_items": 3}],
        "conditions": ["q", "q+if"],
        # so small that it takes two, were these GPUs: a program that is none of ours finds none
        "compute": {"gpu_memory": params * 2 * 1.15 / 0.8 / 1e9 / 1.5},
    }
    given = ["--configfile", write_yaml(folder / "limit.yaml", study), "--until", "respond"]
    done = run_snakemake(folder, *given)
    assert done.returncode != 0
    assert "wide (2): more GPUs than this run may use at once, which is 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "results" / "limit" / "items").exists()
    done = run_snakemake(folder, *given, "--workflow-profile", "profiles/workstation")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "PyTorch sees no GPU, although this job has 2" in done.stderr
    record = (folder / "results/limit/responses/f/wide/winogender.json").read_text()
    assert yaml.safe_load(record)["runs"][0]["gpus"] == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "not installed here"),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
        ("exec sleep 60", "no answer within 1 s"),
    ],
)
def test_a_slurm_that_does_not_answer_is_refused(tmp_path, monkeypatch, answer, said):
    if answer:
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setattr("scruple.machine.slurm._PATIENCE", 1)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if answer else str(tmp_path))
    with pytest.raises(ScrupleError, match=rf"no Slurm is there: .*{said}.*workstation"):
        check_cluster("slurm", [])
    check_cluster("local", ["none"])


def test_a_partition_that_slurm_lacks_is_refused(tmp_path, monkeypatch):
    (tmp_path / "sinfo").write_text("#!/bin/sh\nprintf 'main\\ngpu\\n'\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    check_cluster("slurm", ["gpu"])
    check_cluster("slurm", [])
    with pytest.raises(ScrupleError, match="`slurm_partition` is gpus, and Slurm has main, gpu"):
        check_cluster("slurm", ["gpu", "gpus"])
