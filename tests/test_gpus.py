"""Concurrent jobs get different GPUs, whatever they need and however they end."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
from conftest import ROOT

from scruple.errors import ScrupleError
from scruple.machine import gpus
from scruple.machine.gpus import lease, visible_gpus

JOB = """
import json, logging, os, sys, time
from scruple.machine.gpus import lease
count, seconds = int(sys.argv[1]), float(sys.argv[2])
with lease(count, logging.getLogger()) as taken:
    start = time.monotonic()
    print("taken", flush=True)
    time.sleep(seconds)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    print(json.dumps([[gpu.name for gpu in taken], seen, start, time.monotonic()]), flush=True)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that gives this machine a driver that shows some GPUs; returns their UUIDs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(count):
        names = [f"GPU-{uuid.uuid4()}" for _ in range(count)]
        lines = "".join(f"{k}, {name}, 81559\\n" for k, name in enumerate(names))
        driver = tmp_path / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
        driver.chmod(0o755)
        return names

    return make


def start(count, seconds=0.3, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(count), str(seconds)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ends(process):
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def overlapping(runs):
    """Return the GPUs that two runs had at the same time."""
    held = [(name, start, end) for names, _, start, end in runs for name in names]
    return [
        a[0]
        for k, a in enumerate(held)
        for b in held[k + 1 :]
        if a[0] == b[0] and a[1] < b[2] and b[1] < a[2]
    ]


def test_jobs_that_need_one_several_or_all_never_share_and_all_end(machine):
    names = machine(3)
    jobs = [start(count) for count in (1, 2, 3, 1, 2, 1, 3, 2, 1, 2)]
    runs = [ends(job) for job in jobs]
    assert not overlapping(runs)
    assert [len(run[0]) for run in runs] == [1, 2, 3, 1, 2, 1, 3, 2, 1, 2]
    assert {name for run in runs for name in run[0]} == set(names)
    for taken, seen, *_ in runs:
        assert [names.index(name) for name in taken] == [int(part) for part in seen.split(",")]


def test_jobs_run_beside_each_other_where_there_are_gpus_for_both(machine):
    machine(2)
    first, second = (ends(job) for job in [start(1, 2), start(1, 2)])
    assert first[0] != second[0]
    assert first[2] < second[3]
    assert second[2] < first[3]


def test_the_gpus_of_a_crashed_job_are_free(machine):
    machine(2)
    holder = start(2, 600)
    assert holder.stdout.readline() == "taken\n"
    waiting = start(1)
    time.sleep(1.5)
    assert waiting.poll() is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(ends(waiting)[0]) == 1


def test_a_job_that_dies_while_it_gathers_holds_up_nobody(machine):
    machine(2)
    holder = start(1, 3)
    assert holder.stdout.readline() == "taken\n"
    gathering = start(2, 0)  # has the other one already
    time.sleep(1)
    last = start(1, 0)
    time.sleep(0.5)
    assert last.poll() is None
    gathering.kill()
    gathering.wait()
    assert ends(last)[2] < ends(holder)[3]


def test_the_users_choice_of_gpus_is_heeded(machine):
    names = machine(4)
    runs = [ends(job) for job in [start(1, CUDA_VISIBLE_DEVICES="2,3") for _ in range(4)]]
    assert {run[1] for run in runs} <= {"2", "3"}
    assert {run[0][0] for run in runs} <= set(names[2:])
    assert not overlapping(runs)


def test_one_gpu_is_known_by_number_and_by_uuid(machine):
    names = machine(2)
    runs = [
        ends(job)
        for job in [
            start(1, 1, CUDA_VISIBLE_DEVICES="1"),
            start(1, 1, CUDA_VISIBLE_DEVICES=names[1]),
        ]
    ]
    assert runs[0][0] == runs[1][0] == [names[1]]
    assert not overlapping(runs)


@pytest.mark.parametrize(
    ("chosen", "seen"), [("", []), ("-1", []), ("NoDevFiles", []), ("1", [1]), ("1,-1,0", [1])]
)
def test_what_is_visible_is_what_cuda_sees(machine, monkeypatch, chosen, seen):
    names = machine(2)
    assert [gpu.name for gpu in visible_gpus()] == names
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert [gpu.name for gpu in visible_gpus()] == [names[k] for k in seen]


def test_slurms_word_is_taken_where_there_is_no_driver(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert visible_gpus() == []
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURMD_NODENAME", "n3")
    assert [(gpu.id, gpu.name, gpu.memory) for gpu in visible_gpus()] == [
        ("0", "n3-0", 0),
        ("1", "n3-1", 0),
    ]


def test_more_gpus_than_there_are_is_refused_at_once(machine, monkeypatch):
    machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with (
        pytest.raises(ScrupleError, match=r"2 GPUs, and may use 1 \(CUDA_VISIBLE_DEVICES is '1'\)"),
        lease(2, logging.getLogger()),
    ):
        pass


def test_a_place_for_locks_that_cannot_be_used_is_told(machine, monkeypatch, tmp_path):
    machine(1)
    monkeypatch.setattr(gpus, "LOCKS", tmp_path / "file")
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(ScrupleError, match=r"no two jobs share one, and it cannot be used"),
        lease(1, logging.getLogger()),
    ):
        pass


def test_what_cuda_saw_before_is_put_back(machine, monkeypatch):
    machine(2)
    with lease(1, logging.getLogger()):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    with lease(0, logging.getLogger()) as taken:
        assert taken == []
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_gpu_is_one_however_often_and_by_whatever_name_it_is_chosen(machine, monkeypatch):
    names = machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"0,0,{names[0]},{names[0][:12]}")
    assert [gpu.name for gpu in visible_gpus()] == names[:1]
    with pytest.raises(ScrupleError, match="2 GPUs, and may use 1"), lease(2, logging.getLogger()):
        pass


@pytest.mark.parametrize("chosen", ["5", "all", "0,cuda:1", "GPU-"])
def test_a_gpu_that_the_driver_does_not_show_is_refused(machine, monkeypatch, chosen):
    names = machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    with pytest.raises(ScrupleError, match=rf"names '{chosen.split(',')[-1]}', .*{names[1]}"):
        visible_gpus()


def test_a_driver_that_tells_no_memory_or_nothing_is_told_of(
    machine, monkeypatch, tmp_path, caplog
):
    machine(1)
    gpus._warn.cache_clear()  # which says a thing once in a process
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\nprintf '0, GPU-a, 24000\\n1, GPU-b, [N/A]\\n'\n"
    )
    assert [gpu.memory for gpu in visible_gpus()] == [24000 * 1024**2, 0]
    assert not caplog.text
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no devices; exit 9\n")
    assert visible_gpus() == []
    assert "nvidia-smi is here and does not tell of GPUs" in caplog.text
