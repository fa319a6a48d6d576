"""Fetching from a hub on this machine, through the real client: resumed, verified, refused."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, namedtuple

import pandas as pd
import pytest
import small_gguf
from cells import CASES
from conftest import ROOT, run_snakemake, write_yaml
from hub import Faults, StandIn, sha
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from scruple.checkpoints import cache
from scruple.checkpoints import hub as library
from scruple.checkpoints.hub import look_up
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.cli import main
from scruple.engines import load_engine
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Unreachable
from scruple.study.families import Checkpoint, Hub, Writing
from scruple.study.settings import Compute

NAME = "someone/tiny"


@pytest.fixture(scope="session")
def sharded(make_checkpoint, tmp_path_factory):
    """A checkpoint in several safetensors files, and its size."""
    path, params = make_checkpoint("for-the-hub", 32, 2)
    folder = tmp_path_factory.mktemp("sharded") / "tiny"
    shutil.copytree(path, folder)
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(path).save_pretrained(folder, max_shard_size="120KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder, params


@pytest.fixture
def hub(tmp_path, monkeypatch, sharded):
    """The stand-in with one repository, and a cache of its own."""
    stand_in = StandIn(tmp_path / "published")
    stand_in.publish(NAME, sharded[0])
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", stand_in.address)
    template = stand_in.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    yield stand_in
    stand_in.stop()


@pytest.fixture
def no_waiting(monkeypatch):
    """Let waits take no time, and return how long they would have been."""
    waits = []
    monkeypatch.setattr("scruple.fetch.transfer.time.sleep", waits.append)
    return waits


def checkpoint(**changes):
    return Checkpoint(**{"name": "tiny", "params": 1, "hub": NAME, **changes})


def fetch(said=None, allowed=None, **changes):
    say = (lambda _: None) if said is None else said.append
    return fetch_checkpoint(checkpoint(**changes), say, allowed or Hub())


def downloads(hub):
    """Return how often each large file was asked for."""
    paths = [path for command, path, _, _ in hub.requests if command == "GET"]
    return Counter(path.rsplit("/", 1)[-1] for path in paths if path.startswith("/storage/"))


def test_the_manifest_says_what_was_fetched(hub, sharded):
    commit = hub.repositories[NAME]["main"].name
    found = fetch()
    assert found.commit == commit
    for path in sharded[0].iterdir():
        if path.suffix in (".json", ".safetensors"):
            assert found.files[path.name].model_dump() == {
                "bytes": path.stat().st_size,
                "sha256": sha(path),
            }
    assert found.shape.width == 32
    assert found.code is False
    hub.requests.clear()
    assert fetch() == found  # from the cache, and nothing is asked
    assert hub.requests == []


def test_a_branch_is_resolved_once_and_recorded(hub, make_checkpoint):
    first = fetch()
    other, _ = make_checkpoint("moved", 16, 1)
    moved = hub.publish(NAME, other)  # main is another commit now
    assert fetch() == first  # what a cache calls main stays, and the manifest says which it is
    shutil.rmtree(constants.HF_HUB_CACHE)
    assert fetch().commit == moved
    step, _ = make_checkpoint("step", 8, 1)
    commit = hub.publish(NAME, step, "step1000")
    assert fetch(revision="step1000").commit == commit
    assert fetch(revision=commit).files == fetch(revision="step1000").files


def test_broken_connections_are_resumed_where_they_broke(hub, sharded, monkeypatch):
    monkeypatch.setattr("scruple.fetch.transfer._CHUNK", 10_000)
    hub.faults = Faults(cut=50_000, cuts=2)
    fetch()
    resumed = [
        wanted for _, path, wanted, _ in hub.requests if path.startswith("/storage/") and wanted
    ]
    assert len(resumed) == 2
    total = sum(path.stat().st_size for path in sharded[0].glob("*.safetensors"))
    assert sum(hub.sent.values()) == total  # no byte twice


def test_a_killed_download_goes_on_where_it_was(hub, sharded, tmp_path):
    hub.faults = Faults(pace=150_000)
    code = (
        "import sys, scruple.fetch.transfer\n"
        "scruple.fetch.transfer._CHUNK = 10_000\n"
        "from scruple.study.families import Checkpoint\n"
        "from scruple.checkpoints.manifest import fetch_checkpoint\n"
        f"c = Checkpoint(name='tiny', params=1, hub='{NAME}')\n"
        "print(fetch_checkpoint(c, lambda t: print(t, file=sys.stderr)).commit)"
    )
    environment = {
        **os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT / "src"),
    }  # fmt: skip
    command = [sys.executable, "-c", code]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    weights = sorted(sharded[0].glob("*.safetensors"))
    middle = weights[0].stat().st_size + weights[1].stat().st_size // 2
    while sum(hub.sent.values()) < middle:
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    left = Counter(hub.sent)
    hub.faults = Faults()
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "going on at byte" in again.stderr
    total = sum(path.stat().st_size for path in weights)
    # what the server had sent and the client had not written yet is sent again
    assert sum(hub.sent.values()) < total + 60_000
    assert downloads(hub)[weights[0].name] == 1
    assert sum(left.values()) >= middle
    blobs = tmp_path / "cache" / "hub" / "models--someone--tiny" / "blobs"
    assert not list(blobs.glob("*incomplete*"))


def test_two_runs_at_once_download_once(hub, sharded):
    hub.faults = Faults(pace=400_000)
    said, found = [], []
    runs = [threading.Thread(target=lambda: found.append(fetch(said))) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert found[0] == found[1]
    assert set(downloads(hub).values()) == {1}
    assert any("another run is at it; waiting" in line for line in said)


def test_a_byte_flipped_on_the_way_is_fetched_again(hub, sharded):
    hub.faults = Faults(flip=1)
    said = []
    fetch(said)
    assert any("damaged on the way" in line for line in said)
    assert sorted(downloads(hub).values())[-2:] == [1, 2]


def test_a_file_that_is_never_right_is_refused_and_not_kept(hub, sharded, tmp_path):
    hub.faults = Faults(flip=99)
    with pytest.raises(ScrupleError, match=r"tiny 1/\d+: .*not the file .*expected \w{64}, found"):
        fetch()
    weights = {sha(path) for path in sharded[0].glob("*.safetensors")}
    blobs = tmp_path / "cache" / "hub" / "models--someone--tiny" / "blobs"
    assert not weights & {path.name for path in blobs.iterdir()}
    assert not list(blobs.glob("*incomplete*"))


@pytest.mark.parametrize("damage", ["flipped", "short", "config"])
def test_a_damaged_cache_is_mended_or_refused(hub, monkeypatch, damage):
    whole = fetch()
    folder = cache.cached_snapshot(checkpoint())
    path = next(folder.glob("*.safetensors")) if damage != "config" else folder / "config.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.resolve().write_bytes(content[:-100] if damage == "short" else content)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ScrupleError, match=rf"{path.name} in the hub's cache is not what"):
        fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert fetch() == whole


@pytest.mark.parametrize("wait", [None, 7])
def test_a_busy_hub_is_asked_again_after_the_time_that_it_names(hub, no_waiting, wait):
    hub.faults = Faults(busy={429: 2, 503: 1}, wait=wait)
    assert fetch().commit
    assert no_waiting[:3] == ([7, 7, 7] if wait else [1, 2, 4])


def test_a_hub_that_is_down_ends_plainly(hub, no_waiting):
    hub.faults = Faults(busy={503: 99})
    with pytest.raises(
        Unreachable, match=r"someone/tiny@main\): given up after 5 tries \(503 Service"
    ):
        fetch()
    hub.stop()
    with pytest.raises(Unreachable, match="given up after 5 tries"):
        fetch()


def test_a_hub_that_goes_down_between_files_keeps_what_came(hub, sharded, no_waiting, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    done = library.bring

    def then_down(*given, **named):
        done(*given, **named)
        hub.faults = Faults(busy={503: 10_000})

    monkeypatch.setattr(library, "bring", then_down)
    with pytest.raises(ScrupleError, match=r"what was downloaded is kept|given up"):
        fetch()
    monkeypatch.setattr(library, "bring", done)
    hub.faults = Faults()
    assert fetch().commit
    assert set(downloads(hub).values()) == {1}


def test_what_cannot_be_had_is_told_apart(hub, sharded, monkeypatch):
    with pytest.raises(
        ScrupleError, match=r"tiny \(someone/tiny@step7\): the hub has no revision 'step7'"
    ):
        fetch(revision="step7")
    with pytest.raises(ScrupleError, match="no such public repository; correct `hub`"):
        fetch(hub="someone/else")
    hub.publish("someone/gated", sharded[0], token="hf_secret")
    with pytest.raises(ScrupleError, match="access is restricted; accept its terms"):
        look_up(checkpoint(hub="someone/gated"), Hub(), lambda _: None)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    said = []
    assert fetch(said, hub="someone/gated").commit
    assert "hf_secret" not in "\n".join(said)
    sent = {path.startswith("/storage/"): token for _, path, _, token in hub.requests}
    assert sent == {False: "Bearer hf_secret", True: None}  # it never leaves the hub
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unreachable, match="not asked for, since HF_HUB_OFFLINE is set"):
        fetch(revision="step7")


def test_what_does_not_fit_on_the_disk_is_refused_first(hub, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(300_000))
    with pytest.raises(
        ScrupleError, match=r"MB are to be downloaded, and 0\.30 MB are free .*HF_HOME"
    ):
        fetch()
    assert downloads(hub) == {}
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(10**9))
    assert fetch().commit


class Payload:
    """What a pickled file may hold: a call."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_pickled_weights_need_leave_and_run_nothing(hub, make_checkpoint, tmp_path, monkeypatch):
    import torch

    path, params = make_checkpoint("pickled", 8, 1)
    folder = tmp_path / "pickled"
    shutil.copytree(path, folder)
    (folder / "model.safetensors").unlink()
    weights = AutoModelForCausalLM.from_pretrained(path).state_dict()
    torch.save(weights, folder / "pytorch_model.bin")
    hub.publish("someone/pickled", folder)
    with pytest.raises(ScrupleError, match=r"pickled weights only .*allow_pickle: true"):
        fetch(hub="someone/pickled")
    allowed = Hub(allow_pickle=True)
    manifest = fetch(allowed=allowed, hub="someone/pickled", params=params)
    assert "pytorch_model.bin" in manifest.files
    with pytest.raises(ScrupleError, match="pickled weights only"):  # in the cache as on the hub
        fetch(hub="someone/pickled")
    cpu = Compute(device="cpu")
    assert load_engine(manifest, cpu, 1).describe()["params"] == params
    torch.save({**weights, "x": Payload()}, folder / "pytorch_model.bin")
    hub.publish("someone/evil", folder)
    manifest = fetch(allowed=allowed, hub="someone/evil", params=params)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScrupleError, match="cannot load"):
        load_engine(manifest, cpu, 1)
    assert not (tmp_path / "ran").exists()
    assert pickle.dumps(Payload())  # which a plain unpickler would have run


def test_code_of_a_repository_runs_only_by_name(hub, tokenizer, tmp_path):
    folder = tmp_path / "coded"
    tokenizer.save_pretrained(folder)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=512,
    ))  # fmt: skip
    model.save_pretrained(folder)
    params = sum(p.numel() for p in model.parameters())
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_kind",
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(
        "import pathlib\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own_kind'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    hub.publish("someone/coded", folder)
    with pytest.raises(
        ScrupleError, match=r"Python code of its own.*allow_code: \[someone/coded\]"
    ):
        fetch(hub="someone/coded")
    assert downloads(hub) == {}  # told by its config, before the weights
    allowed = Hub(allow_code=("someone/coded",))
    manifest = fetch(allowed=allowed, hub="someone/coded", params=params)
    assert not (tmp_path / "ran").exists()
    assert load_engine(manifest, Compute(device="cpu"), 1).describe()["params"] == params
    assert (tmp_path / "ran").exists()
    refused = manifest.model_copy(update={"code": False})
    with pytest.raises(ScrupleError, match="transformers cannot"):
        load_engine(refused, Compute(device="cpu"), 1)


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ("tokenizer.json", "the repository has no tokenizer"),
        ("config.json", r"the repository has no config\.json"),
        ("model-00002-of-00003.safetensors", "its index names model-00002"),
        ("broken", r"config\.json cannot be read"),
    ],
)
def test_repositories_that_are_not_complete(hub, sharded, tmp_path, lack, said):
    folder = tmp_path / "lacking"
    shutil.copytree(sharded[0], folder)
    if lack == "broken":
        (folder / "config.json").write_text("{not json")
    else:
        (folder / lack).unlink()
    hub.publish("someone/lacking", folder)
    with pytest.raises(ScrupleError, match=rf"tiny \(someone/lacking@main\): .*{said}"):
        fetch(hub="someone/lacking")
    assert downloads(hub) == {}


def test_a_tokenizer_that_cannot_be_read_is_told_before_the_weights(hub, sharded, tmp_path):
    folder = tmp_path / "unread"
    shutil.copytree(sharded[0], folder)
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(b"no vocabulary")
    hub.publish("someone/unread", folder)
    with pytest.raises(ScrupleError, match=r"someone/unread@main.*spiece\.model is damaged"):
        fetch(hub="someone/unread")
    assert downloads(hub) == {}


def test_a_chat_template_that_cannot_be_used_is_told_before_the_weights(hub, sharded, tmp_path):
    folder = tmp_path / "think"
    shutil.copytree(sharded[0], folder)
    (folder / "chat_template.jinja").write_text(CASES["think"].template)
    hub.publish("someone/think", folder)
    writing = Writing("auto", None, "2024-07-26")
    with pytest.raises(ScrupleError, match="checkpoint tiny: its chat template begins the"):
        fetch_checkpoint(checkpoint(hub="someone/think"), lambda _: None, writing=writing)
    assert downloads(hub) == {}
    plain = writing._replace(format="dialogue")
    found = fetch_checkpoint(checkpoint(hub="someone/think"), lambda _: None, writing=plain)
    assert found.date == "2024-07-26"


def test_prompts_are_printed_without_weights(hub, sharded, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = {"name": "tiny", "params": sharded[1], "hub": NAME}
    gone = {"name": "gone", "params": 2 * sharded[1], "hub": "someone/gone"}
    file = write_yaml(tmp_path / "s.yaml", {
        "study": "s", "families": [{"name": "f", "checkpoints": [tiny, gone]}],
        "benchmarks": [{"name": "admissions", "source": "own"}], "conditions": ["q"], "margins": {},
    })  # fmt: skip
    assert main(["prompts", "--configfile", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "admissions, q: tiny (f)" in out
    assert "the hub has no such public repository" in err
    assert downloads(hub) == {}
    fetch()
    assert downloads(hub)


def test_chat_templates_in_their_folder_come_along(hub, sharded, tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(sharded[0], folder)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "short.jinja").write_text("{{ messages }}")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    hub.publish("someone/templates", folder)
    found = fetch(hub="someone/templates")
    assert "additional_chat_templates/short.jinja" in found.files
    assert not [name for name in found.files if name.startswith("onnx")]
    read = load_tokenizer(found.location).tokenizer
    assert read.chat_template["short"] == "{{ messages }}"
    assert fetch(hub="someone/templates") == found


@pytest.fixture(scope="session")
def packed(tokenizer, tmp_path_factory):
    """A repository with GGUF files alone, one of them in a folder, and the number of parameters."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "Q4").mkdir()
    params = small_gguf.write(folder / "small.gguf", tokenizer)
    kind = small_gguf.gguf.GGMLQuantizationType.Q4_0
    small_gguf.write(folder / "Q4" / "small.gguf", tokenizer, kind)
    return folder, params


def test_of_a_repository_with_gguf_files_one_is_fetched(hub, packed, tmp_path):
    commit = hub.publish("someone/packed", packed[0])

    def fetch(file, said=None):
        asked = checkpoint(hub="someone/packed", params=packed[1], file=file)
        say = (lambda _: None) if said is None else said.append
        return fetch_checkpoint(asked, say, copies=tmp_path / "copies")

    hub.faults = Faults(flip=1)
    found = fetch("small.gguf", said := [])
    assert any("damaged on the way" in line for line in said)
    assert (found.commit, found.gguf, list(found.files)) == (commit, "small.gguf", ["small.gguf"])
    assert found.files["small.gguf"].sha256 == sha(packed[0] / "small.gguf")
    assert not [path for _, path, *_ in hub.requests if "/storage/" in path and "/Q4/" in path]
    nested = fetch("Q4/small.gguf")
    assert nested.folder == found.folder
    assert nested.dequantised.folder != found.dequantised.folder
    hub.requests.clear()
    assert fetch("Q4/small.gguf") == nested  # from the caches, and nothing is asked
    assert hub.requests == []
    with pytest.raises(ScrupleError, match=r"no file Q8\.gguf; its GGUF files: Q4/small.gguf, sm"):
        fetch("Q8.gguf")
    with pytest.raises(ScrupleError, match=r"no config\.json; .*It has GGUF files.*with `file`"):
        look_up(checkpoint(hub="someone/packed"), Hub(), lambda _: None)


def test_a_gguf_file_that_cannot_be_dequantised_here_is_not_fetched(hub, packed, tmp_path):
    hub.publish("someone/packed", packed[0])
    large = checkpoint(hub="someone/packed", params=10**15, file="small.gguf")
    with pytest.raises(ScrupleError, match=r"small\.gguf is dequantised to float32, which needs"):
        fetch_checkpoint(large, lambda _: None, copies=tmp_path / "copies")
    assert downloads(hub) == {}


def test_an_endpoint_that_is_no_address_is_named_at_once(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "hub.example")
    with pytest.raises(ScrupleError, match=r"HF_ENDPOINT is 'hub\.example', which is no address"):
        fetch()


def study_of(families, **changes):
    return {
        "study": "s",
        "families": families,
        "benchmarks": [{"name": "winogender", "source": "own", "max_items": 6}],
        "conditions": ["q", "q+if"],
        "compute": {"device": "cpu", "threads": 1},
        **changes,
    }


@pytest.fixture
def published(hub, make_checkpoint):
    """Two families on the hub: pretraining steps as revisions, and stages of two sizes."""
    families = {"steps": [], "stages": []}
    for step, width in ((0, 6), (1000, 10)):
        path, params = make_checkpoint(f"s{step}", width, 1)
        hub.publish("a/steps", path, f"step{step}")
        families["steps"].append(
            {"name": f"step{step}", "params": 20_000, "step": step, "hub": "a/steps",
             "revision": f"step{step}"}
        )  # fmt: skip
        families["steps"][-1]["params"] = params
    for stage in ("base", "sft"):
        for width in (8, 16):
            path, params = make_checkpoint(f"{stage}-{width}", width, 1 if stage == "base" else 2)
            hub.publish(f"a/{stage}-{width}", path, token="hf_secret" if stage == "sft" else "")
            families["stages"].append(
                {"name": f"{stage}-{width}", "params": params, "stage": stage,
                 "hub": f"a/{stage}-{width}"}
            )  # fmt: skip
    return [{"name": name, "format": "dialogue", "checkpoints": each}
            for name, each in families.items()]  # fmt: skip


def variables(hub, tmp_path, **more):
    return {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "cache"), **more}


@pytest.mark.workflow
def test_a_study_of_two_families_with_stages(hub, published, project, tmp_path):
    config = write_yaml(project / "s.yaml", study_of(published))
    given = variables(hub, tmp_path, HF_TOKEN="hf_secret")
    hub.faults = Faults(busy={429: 1}, wait=1, flip=1, cut=4_000, cuts=2)
    done = run_snakemake(project, "--configfile", config, **given)
    assert done.returncode == 0, done.stderr[-3000:]
    for family in published:
        for entry in family["checkpoints"]:
            name = f"results/s/checkpoints/{family['name']}/{entry['name']}.json"
            manifest = json.loads((project / name).read_text())
            revisions = hub.repositories[entry["hub"]]
            assert manifest["commit"] == revisions[entry.get("revision", "main")].name
    effects = (project / "results/s/effects.csv").read_text()
    assert all(f"{stage}-{width}" in effects for stage in ("base", "sft") for width in (8, 16))
    verdicts = pd.read_csv(project / "results/s/emergence.csv")
    assert set(verdicts["family"]) == {"steps", "stages"}
    # answers of random weights are not valid ones, and the gate says so
    assert verdicts["reason"].str.contains("unreadable").any()
    logs = [path.read_text() for path in (project / "results/s/logs").rglob("*.log")]
    assert "hf_secret" not in "".join(logs) + done.stdout + done.stderr
    hub.requests.clear()
    shutil.rmtree(project / "results/s/responses")  # asking again needs no network
    shutil.rmtree(project / "results/store")
    again = run_snakemake(project, "results/s/metrics.csv", "--configfile", config, **given)
    assert again.returncode == 0, again.stderr[-3000:]
    assert hub.requests == []


@pytest.mark.workflow
def test_all_that_cannot_be_had_is_told_before_the_first_job(hub, published, project, tmp_path):
    published[0]["checkpoints"][1]["revision"] = "step9"
    config = write_yaml(project / "s.yaml", study_of(published))
    done = run_snakemake(project, "--configfile", config, **variables(hub, tmp_path, HF_TOKEN=""))
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "3 of its checkpoints cannot be had" in output
    assert "the hub has no revision 'step9'" in output
    assert "checkpoint sft-16 (a/sft-16@main): access is restricted" in output
    assert "Traceback" not in output
    assert not (project / "results" / "s").exists()
    assert downloads(hub) == {}


@pytest.mark.workflow
def test_a_hub_that_is_down_stops_the_run_at_once(hub, published, project, tmp_path):
    hub.faults = Faults(busy={503: 999})
    config = write_yaml(project / "s.yaml", study_of(published))
    done = run_snakemake(project, "--configfile", config, **variables(hub, tmp_path))
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "given up after 3 tries (503 Service Unavailable)" in output
    assert "6 checkpoints: a/steps@step0" in output
    assert "Traceback" not in output
