"""A table of responses in shards, gathered, is the table that one job makes; kills lose nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from conftest import copy_project, run_snakemake, write_yaml
from hypothesis import given
from hypothesis import strategies as st

from scruple.responses.shards import Shard, shards_of

pytestmark = pytest.mark.workflow

STUDY = {
    "study": "split",
    "seed": 3,
    "benchmarks": [{"name": "bbq", "source": "own", "scoring": ["letter"], "orders": 6}],
    "conditions": ["q", "q+if", "q+cot"],
    "decoding": {"max_new_tokens": 3},
}
SPLIT = {"shard_hours": 1e-9, "device": "auto"}
"""As many shards as there are pieces, on the CPU or whatever there is."""


@pytest.fixture(scope="module")
def config(tmp_path_factory, make_checkpoint):
    """Return a function that writes the study into a project, and returns snakemake's arguments."""
    path, params = make_checkpoint("split", 16, 2)
    checkpoint = {"name": "tiny", "params": params, "path": str(path)}

    def write(folder, compute):
        families = [
            {
                "name": "neox",
                "format": "dialogue",
                "primary_scoring": "letter",
                "checkpoints": [checkpoint],
            }
        ]
        study = {**STUDY, "families": families, "compute": {"threads": 1, **compute}}
        return ["--configfile", write_yaml(folder / "split.yaml", study)]

    return write


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config):
    """The study's responses, made by one job."""
    folder = copy_project(tmp_path_factory.mktemp("whole") / "project")
    done = run_snakemake(folder, *config(folder, {"device": "cpu"}), "--until", "measure")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def table(folder):
    return pd.read_parquet(folder / "results/split/responses/neox/tiny/bbq.parquet")


def record(folder):
    return json.loads((folder / "results/split/responses/neox/tiny/bbq.json").read_text())


def wait_until(met, seconds=60):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def askers(folder):
    """Return the processes that ask in a project's folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(folder) and any("respond.py" in word for word in words):
            found.append(process)
    return found


def test_snakemake_is_killed_and_the_shards_are_gathered_to_the_same_table(tmp_path, config, whole):
    folder = copy_project(tmp_path / "project")
    arguments = [*map(str, config(folder, SPLIT)), "--until", "measure"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    with (tmp_path / "log").open("w") as log:
        killed = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    wait_until(lambda: any((folder / "results").glob("store/*/scores-*.parquet")))
    orphans = askers(folder)
    assert orphans
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not askers(folder), seconds=20)  # none stays at work
    assert not (folder / "results/split/responses/neox/tiny/bbq.parquet").exists()
    left = list((folder / "results").rglob(".*.parquet"))
    assert not left, "half-written files"
    parts = {path.name for path in folder.glob("results/store/*/*.parquet")}
    assert parts
    assert run_snakemake(folder, *arguments, "--unlock").returncode == 0
    done = run_snakemake(folder, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in folder.glob("results/store/*/*.parquet")} >= parts
    # what was left of a piece is computed in other batches than the whole piece: rounding differs
    pd.testing.assert_frame_equal(table(folder), table(whole), atol=1e-5, rtol=0)


def test_undisturbed_shards_give_the_very_same_table(tmp_path, config, whole):
    folder = copy_project(tmp_path / "project")
    arguments = [*config(folder, SPLIT), "--until", "measure"]
    done = run_snakemake(folder, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    pd.testing.assert_frame_equal(table(folder), table(whole), check_exact=True)
    for name in ("metrics/neox/tiny/bbq.csv", "responses/neox/tiny/bbq.parquet"):
        mine, other = (place / "results/split" / name for place in (folder, whole))
        assert mine.read_bytes() == other.read_bytes(), name
    found, alone = record(folder), record(whole)
    assert found["shards"] == len(found["runs"]) > 1
    assert alone["shards"] == len(alone["runs"]) == 1
    for key in ("responses", "prompt_tokens", "reasoning_tokens"):
        assert found[key] == alone[key]
    assert not list(folder.glob("results/split/shards/**/*.parquet"))
    logs = folder / "results/split/logs/respond/neox/tiny/bbq"
    assert len(list(logs.glob("*.log"))) == found["shards"]
    # what is finished stays as it is when shards would be cut otherwise
    config(folder, {"device": "cpu"})
    again = run_snakemake(folder, *arguments, "-n")
    assert "respond" not in again.stdout
    assert "gather" not in again.stdout
    # and is asked again, in shards, when something else is to be known
    changed = write_yaml(folder / "more.yaml", {"study": "split", "conditions": ["q", "q+if"]})
    more = run_snakemake(folder, "--configfile", "split.yaml", changed, "--until", "measure", "-n")
    assert f"respond_shard        {found['shards']}" in more.stdout


@given(st.integers(1, 40), st.integers(0, 200))
def test_shards_are_a_partition_of_nearly_equal_parts(count, pieces):
    shards = shards_of(count)
    parts = [shard.part(range(pieces)) for shard in shards]
    assert [piece for part in parts for piece in part] == list(range(pieces))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Shard.named(str(shard)) for shard in shards] == shards
