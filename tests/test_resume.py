"""A job that is killed at any moment goes on where it stopped, and nothing of it is lost."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from test_engine import neox  # noqa: F401

from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.study.families import Checkpoint
from scruple.study.model import load_study

SCRIPT = """
import json, logging, sys
from pathlib import Path
import pandas as pd
from scruple.checkpoints.manifest import Manifest
from scruple.responses.job import ask_checkpoint
from scruple.errors import ScrupleError
from scruple.study.model import load_study
import scruple.responses.store
scruple.responses.store._FLUSH_AFTER = 0.02
config, manifest = json.loads(Path(sys.argv[1]).read_text()), Manifest.read(sys.argv[2])
try:
    ask_checkpoint(load_study(config), "f", "bbq", pd.read_parquet(sys.argv[3]), manifest, 1, 0,
                   Path(sys.argv[4]), Path(sys.argv[5]), lambda *_: lambda _: None,
                   logging.getLogger())
except ScrupleError as error:
    sys.exit(f"REFUSED {error}")
"""


@pytest.fixture
def job(neox, tmp_path):  # noqa: F811
    """Everything that a job needs: its command, with the folder of results as the last argument."""
    from scruple.benchmarks import benchmark_module

    path, params = neox
    checkpoint = {"name": "c", "params": params, "path": str(path)}
    config = {
        "study": "s", "families": [{"name": "f", "format": "dialogue", "checkpoints": [checkpoint]}],
        "benchmarks": [{"name": "bbq", "source": "own"}],
        "conditions": ["q", "q+if", "q+if+cot", "q+cot"],
        "decoding": {"max_new_tokens": 12, "samples": 2},
        "compute": {"device": "cpu", "dtype": "float32", "threads": 1, "batch_tokens": 1500},
    }  # fmt: skip
    entry = load_study(config).benchmark("bbq")
    items = benchmark_module("bbq").read([ROOT / "data/items/en/bbq/SES.jsonl"], entry).table
    items.head(60).to_parquet(tmp_path / "items.parquet")
    (tmp_path / "config.json").write_text(json.dumps(config))
    manifest = fetch_checkpoint(Checkpoint(**checkpoint), lambda _: None)
    manifest.written_to(tmp_path / "manifest.json", 0)
    names = ("config.json", "manifest.json", "items.parquet")
    command = [sys.executable, "-c", SCRIPT, *(str(tmp_path / name) for name in names)]

    def run(store, target, **options):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        return subprocess.Popen([*command, str(store), str(target)], env=environment, **options)

    return run


def read(path):
    keys = ["item_id", "condition", "scoring", "sample"]
    return pd.read_parquet(path).sort_values(keys).reset_index(drop=True)


def test_killed_at_random_moments_it_gives_what_an_undisturbed_run_gives(job, tmp_path):
    assert job(tmp_path / "calm", tmp_path / "calm.parquet").wait() == 0
    rng = np.random.default_rng(0)
    store, target = tmp_path / "killed", tmp_path / "killed.parquet"
    kills, seen = 0, set()
    while kills < 5:
        process = job(store, target)
        wanted = len(seen) + int(rng.integers(1, 6))
        while process.poll() is None and len(seen) < wanted:  # some more parts, then the end
            seen |= {path.name for path in store.rglob("*.parquet")}
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():  # it was through but for its last breath
            break
        kills += 1
    assert kills > 0
    target.unlink(missing_ok=True)
    assert job(tmp_path / "killed", target).wait() == 0
    assert_same(read(tmp_path / "calm.parquet"), read(target))


def assert_same(calm, other):
    assert list(calm.columns) == list(other.columns)
    for name in calm.columns:
        if calm[name].dtype == float:
            assert other[name].to_numpy() == pytest.approx(
                calm[name].to_numpy(), abs=1e-5, nan_ok=True
            )
        else:
            assert other[name].equals(calm[name]), name


def test_two_jobs_on_the_same_outputs_do_not_harm_each_other(job, tmp_path):
    jobs = [job(tmp_path / "store", tmp_path / "out.parquet") for _ in range(2)]
    assert [process.wait() for process in jobs] == [0, 0]
    assert job(tmp_path / "calm", tmp_path / "calm.parquet").wait() == 0
    assert_same(read(tmp_path / "calm.parquet"), read(tmp_path / "out.parquet"))
    assert not list(tmp_path.rglob("*.damaged"))
    assert not list(tmp_path.rglob(".*.parquet"))


def test_when_the_disk_is_full_what_was_written_stays(job, tmp_path):
    """A limit on the size of files is the nearest thing to a full disk that any user can have."""
    limit = 24_000  # parts are smaller, the table is larger
    store, target = tmp_path / "store", tmp_path / "out.parquet"
    process = job(
        store, target, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    message = process.communicate()[1]
    assert process.returncode != 0
    assert "Traceback" not in message
    assert re.search(r"REFUSED .*cannot be written .*File too large", message)
    assert not target.exists()
    assert not list(tmp_path.rglob(".*.parquet"))  # nothing half-written
    parts = {path: path.read_bytes() for path in store.rglob("scores-*.parquet")}
    assert parts
    assert job(store, target).wait() == 0
    assert job(tmp_path / "calm", tmp_path / "calm.parquet").wait() == 0
    assert_same(read(tmp_path / "calm.parquet"), read(target))


def test_a_folder_without_the_right_to_write_is_refused_at_once():
    script = """if True:
        import os, sys
        from pathlib import Path
        from scruple.errors import ScrupleError
        from scruple.responses.store import Store
        if os.getuid() == 0:  # whom no permission stops
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            Store(Path(sys.argv[1]) / "store")
        except ScrupleError as error:
            print("REFUSED", error)
    """
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        done = subprocess.run(
            [sys.executable, "-c", script, folder], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        os.chmod(folder, 0o755)
    assert "finished responses cannot be kept here (Permission denied)" in done.stdout, done.stderr


def test_a_folder_that_cannot_be_written_to_gets_a_message(job, tmp_path):
    (tmp_path / "store").write_text("not a folder")
    environment = job(tmp_path / "store", tmp_path / "out.parquet")
    assert environment.wait() != 0
    assert not (tmp_path / "out.parquet").exists()
