"""The study on a real Slurm of four nodes with two stand-in GPUs each, through profiles/slurm, while
jobs are cancelled, nodes lose power, the controller dies, memory runs out and snakemake is killed.

The site has no accounting, so what the profile takes for granted is set otherwise (docs/running.md).
Ten minutes: `make slurm`.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from conftest import copy_project, run_snakemake, write_yaml
from slurm import Cluster, available
from test_shards import SPLIT, config, table, wait_until, whole  # noqa: F401

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not available(), reason="no Slurm is installed here, or one is not root"),
]

WITHOUT_ACCOUNTING = ["--slurm-status-command", "squeue"]
QUICK = [
    "--latency-wait", "10", "--seconds-between-status-checks", "2",
    "--slurm-init-seconds-before-status-checks", "2",
]  # fmt: skip
CONTROL = ["--configfile", "studies/control.yaml"]


class Run:
    """A snakemake that has Slurm do its jobs."""

    def __init__(self, cluster, project, *arguments):
        environment = {
            **os.environ, **cluster.environment(), "PYTHONPATH": str(project / "src"),
            "HF_ENDPOINT": "http://127.0.0.1:9",
        }  # fmt: skip
        command = [
            sys.executable, "-m", "snakemake", "--workflow-profile", "slurm",
            *WITHOUT_ACCOUNTING, *QUICK, *map(str, arguments),
        ]  # fmt: skip
        self.log = project / f"run-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=project, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def ends(self, seconds):
        assert self.process.wait(timeout=seconds) == 0, self.log.read_text()[-4000:]
        return self.log.read_text()


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / "cluster", memory=20_000) as cluster:
        yield cluster


def running(cluster):
    return [job for job in cluster.jobs() if job["state"] == "RUNNING"]


def parts(project):
    return {path.name for path in project.glob("results/store/*/*.parquet")}


def quiet(cluster, seconds=7, patience=120):
    """Wait until no job begins or ends for some seconds: what a controller did before is written."""
    end = time.monotonic() + patience
    before, since = None, time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end
        now = [(job["id"], job["state"]) for job in cluster.jobs()]
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.5)


def runs(project, study):
    """Return (GPU, start, end) of everything that was asked, from the jobs' own records."""
    found = []
    for path in project.glob(f"results/{study}/responses/*/*/*.json"):
        for run in json.loads(path.read_text())["runs"]:
            found += [(gpu, run["started"], run["ended"], str(path)) for gpu in run["gpus"]]
    return found


def assert_no_gpu_is_shared(found):
    by_gpu = {}
    for gpu, *rest in found:
        by_gpu.setdefault(gpu, []).append(rest)
    for gpu, held in by_gpu.items():
        held.sort()
        for (_, end, first), (start, _, second) in itertools.pairwise(held):
            assert end <= start, (gpu, first, second)


def assert_same_tables(mine, other):
    keys = ["item_id", "condition", "wording", "scoring", "order", "sample"]
    tables = sorted(other.glob("results/control/responses/*/*/*.parquet"))
    assert len(tables) == 54
    for path in tables:
        frames = [
            pd.read_parquet(place).sort_values(keys, ignore_index=True)
            for place in (mine / path.relative_to(other), path)
        ]
        pd.testing.assert_frame_equal(*frames, atol=1e-5, rtol=0, obj=path.name)
    for name in ("metrics", "effects", "emergence", "curves", "sensitivity", "abilities", "power"):
        frames = [pd.read_csv(place / f"results/control/{name}.csv") for place in (mine, other)]
        pd.testing.assert_frame_equal(*frames, atol=1e-5, rtol=1e-4, obj=name)


def test_the_control_study_outlives_faults(tmp_path, cluster, control_project):
    project = copy_project(tmp_path / "project")
    # the largest have jobs of their own, six to a place in the queue; on GPUs, were these any
    compute = {"device": "auto", "share_below": 300_000}
    apart = write_yaml(project / "apart.yaml", {"compute": compute})
    run = Run(cluster, project, *CONTROL, apart)
    wait_until(lambda: parts(project), 120)

    cancelled = running(cluster)[0]
    cluster.cancel(cancelled["id"])
    wait_until(lambda: cluster.state(cancelled["id"]) == "CANCELLED")

    wait_until(lambda: running(cluster), 60)
    lost = running(cluster)[-1]
    cluster.kill_node(lost["node"])
    wait_until(lambda: cluster.state(lost["id"]) in ("PENDING", "RUNNING"), 60)  # queued again
    cluster.start_node(lost["node"])

    quiet(cluster)
    cluster.kill_controller()
    time.sleep(3)
    cluster.start_controller()

    wait_until(lambda: running(cluster), 120)
    before = parts(project)
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    left = {job["id"] for job in running(cluster)}
    assert left
    subprocess.run(
        [sys.executable, "-m", "snakemake", *CONTROL, apart, "--cores", "1", "--unlock"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(project / "src")}, check=True,
    )  # fmt: skip
    again = Run(cluster, project, *CONTROL, apart)
    again.ends(500)
    assert before
    assert_same_tables(project, control_project)
    found = runs(project, "control")
    assert len({gpu for gpu, *_ in found}) > 2
    assert_no_gpu_is_shared(found)
    assert not list(project.glob("results/control/responses/**/.*"))


def test_a_job_that_is_preempted_goes_on_from_its_parts(tmp_path, cluster, config, whole):  # noqa: F811
    project = copy_project(tmp_path / "project")
    run = Run(cluster, project, *config(project, SPLIT), "--until", "measure")
    wait_until(lambda: parts(project), 120)
    early = parts(project)
    job = running(cluster)[0]
    cluster.run("scontrol", "requeue", job["id"])
    run.ends(200)
    assert early <= parts(project)
    pd.testing.assert_frame_equal(table(project), table(whole), atol=1e-5, rtol=0)
    shards = runs(project, "split")
    assert len(shards) == 2
    assert_no_gpu_is_shared(shards)


def test_a_job_without_enough_memory_is_given_more(tmp_path, cluster):
    project = copy_project(tmp_path / "project")
    study = {
        "study": "scarce", "families": ["control-positive"], "max_params": 3000,
        "benchmarks": [{"name": "winogender", "source": "control"}], "conditions": ["q", "q+if"],
        "compute": {"device": "auto", "share_below": 0, "threads": 1},
    }  # fmt: skip
    overlay = write_yaml(project / "scarce.yaml", study)
    run = Run(
        cluster, project, *CONTROL, overlay, "--until", "respond",
        "--set-resources", "respond:mem_mb=300*8**(attempt-1)",
    )  # fmt: skip
    log = run.ends(200)
    assert "Trying to restart job" in log
    failed = [job for job in cluster.jobs() if job["state"] == "FAILED"]
    assert failed
    assert "exceeded memory limit" in "".join(
        path.read_text() for path in cluster.folder.glob("slurmd-*.log")
    )


def test_snakemake_that_is_stopped_with_ctrl_c_leaves_no_job(tmp_path, cluster, config):  # noqa: F811
    project = copy_project(tmp_path / "project")
    run = Run(cluster, project, *config(project, SPLIT), "--until", "measure")
    wait_until(lambda: parts(project), 120)
    run.process.send_signal(signal.SIGINT)
    run.process.wait(timeout=120)
    cluster.wait_idle(60)
    # nothing is locked
    assert run_snakemake(project, "--configfile", "split.yaml", "-n").returncode == 0
