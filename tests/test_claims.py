"""A job ends by itself once nobody waits for it: another has begun the same, or its run is gone."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from scruple.errors import ScrupleError
from scruple.workflow.claims import claim_of, refuse_outdated, take_over, targets_of

JOB = """
import logging, sys, time
from pathlib import Path
from types import SimpleNamespace
from scruple.workflow.claims import sole
from scruple.workflow.script import job
from scruple.files import whole
claim, output, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
with job(SimpleNamespace(log=[], rule="respond")) as log, sole(claim, log):
    with whole(output) as part:
        part.write_text("half")
        print("begun", flush=True)
        time.sleep(seconds)
        part.write_text("all")
"""


@pytest.fixture
def begin(tmp_path):
    """Return a function that starts a job on the same outputs, and waits until it is at work."""
    processes = []

    def start(seconds=60.0, prefix=()):
        names = [str(tmp_path / name) for name in ("claim", "output")]
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", JOB, *names, str(seconds)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    for process in processes:
        process.kill()


def test_a_job_of_an_older_run_that_comes_late_does_not_begin(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("SCRUPLE_RUN", "2000.5")
    wanted = begin(4)
    monkeypatch.setenv("SCRUPLE_RUN", "1000.0")
    with pytest.raises(AssertionError):  # it says nothing of having begun
        begin()
    monkeypatch.setenv("SCRUPLE_RUN", "2000.5")
    again = begin()  # a further attempt of the same run
    refuse_outdated([tmp_path / "claim"])
    monkeypatch.setenv("SCRUPLE_RUN", "3000.0")
    take_over([tmp_path / "claim"])  # with which a newer run begins
    assert again.wait(timeout=10) == 128 + signal.SIGTERM
    assert wanted.wait(timeout=10) == 128 + signal.SIGTERM
    monkeypatch.setenv("SCRUPLE_RUN", "2000.5")
    with pytest.raises(ScrupleError, match="a newer run has begun the same outputs"):
        refuse_outdated([tmp_path / "claim"])
    (tmp_path / "claim").write_text(f"{time.time() + 9999} by a clock that was wrong")
    refuse_outdated([tmp_path / "claim", tmp_path / "none"])


def half_written(folder):
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_of_two_jobs_on_the_same_outputs_the_newer_one_stays(begin, tmp_path):
    older = begin()
    newer = begin(3)
    assert older.wait(timeout=10) == 128 + signal.SIGTERM
    assert "or a newer run, has begun the same outputs; this one ends" in older.stderr.read()
    assert newer.wait(timeout=10) == 0
    assert (tmp_path / "output").read_text() == "all"
    assert not half_written(tmp_path)


def test_a_job_whose_snakemake_is_killed_ends(begin, tmp_path):
    program = tmp_path / "snakemake"  # what counts is the name of the program
    program.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\nsubprocess.run(sys.argv[1:])\n"
    )
    program.chmod(0o755)
    run = begin(prefix=[str(program)])
    begun = time.monotonic()
    run.kill()
    message = run.stderr.read()  # ends when the orphan does, which shares it
    assert time.monotonic() - begun < 10
    assert "the snakemake that started this job is gone; this one ends" in message
    assert not (tmp_path / "output").exists()
    assert not half_written(tmp_path)


def test_a_job_that_is_told_to_end_leaves_nothing_half_written(begin, tmp_path):
    job = begin()
    job.terminate()
    assert job.wait(timeout=10) == 128 + signal.SIGTERM
    assert "Traceback" not in job.stderr.read()
    assert not (tmp_path / "output").exists()
    assert not half_written(tmp_path)


def test_a_claim_that_is_lost_stops_nobody(begin, tmp_path):
    job = begin(3)
    (tmp_path / "claim").unlink()
    assert job.wait(timeout=10) == 0
    assert (tmp_path / "output").read_text() == "all"


def test_outputs_have_a_claim_each():
    place = {"family": "f", "checkpoint": "c", "benchmark": "bbq"}
    claims = [
        claim_of("s", "respond", place),
        claim_of("s", "respond_shard", {**place, "shard": "1-of-2"}),
        claim_of("s", "respond_shard", {**place, "shard": "2-of-2"}),
        claim_of("s", "respond_f_bbq_0_0", {}),
        claim_of("s", "respond_f_bbq_0_1", {}),
    ]
    assert len(set(claims)) == 5
    assert claim_of("s", "measure", place) is None


def test_what_a_snakemake_exists_for_stands_in_its_command():
    command = (
        "snakemake --target-jobs respond:study=s,family=f,checkpoint=c,benchmark=bbq respond_f_0_0: "
        "--allowed-rules respond --mode remote"
    )
    place = {"study": "s", "family": "f", "checkpoint": "c", "benchmark": "bbq"}
    assert targets_of(command.split()) == [("respond", place), ("respond_f_0_0", {})]
    assert targets_of(["snakemake", "--cores", "2"]) == []
