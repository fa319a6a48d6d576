"""What cannot be asked of a checkpoint is refused before its weights are loaded."""

import json
import logging
import shutil
import time
from collections import namedtuple

import pytest
import yaml
from conftest import ROOT
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from scruple.benchmarks import benchmark_module
from scruple.checkpoints.choice import describing_files, weight_files
from scruple.checkpoints.manifest import Manifest, fetch_checkpoint
from scruple.engines import load_engine, loading
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Pinned, bring, found_instead, plain, sha256
from scruple.responses import job
from scruple.study.families import Checkpoint, Hub
from scruple.study.model import load_study
from scruple.study.settings import Compute
from scruple.workflow.preflight import check_manifests

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def ask(folder, params, tmp_path, **changes):
    """Ask a checkpoint in a folder some of the project's own BBQ items."""
    family = {"name": "f", "checkpoints": [{"name": "c", "params": params, "path": str(folder)}]}
    study = load_study({
        **CONFIG, "study": "s", "families": [family], "conditions": ["q", "q+if+cot"],
        "benchmarks": [{"name": "bbq", "source": "own"}], "compute": {"device": "cpu"}, **changes,
    })  # fmt: skip
    items = benchmark_module("bbq").read(
        [ROOT / "data/items/en/bbq/SES.jsonl"], study.benchmarks[0]
    )
    manifest = fetch_checkpoint(study.families[0].checkpoints[0], silent)
    return job.ask_checkpoint(
        study, "f", "bbq", items.table.head(4), manifest, 1, 0, tmp_path / "store",
        tmp_path / "out.parquet", silent, logging.getLogger(),
    )  # fmt: skip


def silent(*_):
    return lambda _: None


@pytest.fixture
def no_weights(monkeypatch):
    """Fail if weights are loaded."""
    monkeypatch.setattr(job, "load_engine", lambda *_: pytest.fail("weights were loaded"))


def test_a_tokenizer_that_cannot_tell_candidates_apart(make_checkpoint, tmp_path, no_weights):
    path, params = make_checkpoint("words", 8, 1)
    folder = tmp_path / "words"
    shutil.copytree(path, folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "Human": 1, "is": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    with pytest.raises(ScrupleError, match=r"checkpoint c, item SES-\w+ .*cannot tell the answers"):
        ask(folder, params, tmp_path)
    assert not (tmp_path / "out.parquet").exists()


def test_a_window_that_is_too_short(make_checkpoint, tmp_path, no_weights):
    path, params = make_checkpoint("narrow", 8, 1, window=256)
    with pytest.raises(ScrupleError, match=r"the model's window has 256; .*max_new_tokens"):
        ask(path, params, tmp_path)


def test_a_config_that_cannot_be_read(make_checkpoint, tmp_path, no_weights):
    path, params = make_checkpoint("odd", 8, 1)
    folder = tmp_path / "odd"
    shutil.copytree(path, folder)
    (folder / "config.json").write_text('{"model_type": "no-such-thing"}')
    with pytest.raises(
        ScrupleError, match="c: transformers cannot read the tokenizer or the config"
    ):
        ask(folder, params, tmp_path)


def test_weights_larger_than_the_memory_of_the_job(make_checkpoint, monkeypatch):
    path, params = make_checkpoint("large", 8, 1)
    manifest = Manifest(checkpoint="c", params=params, origin="", folder=str(path), files={})
    memory = namedtuple("memory", "total")
    monkeypatch.setattr(loading.psutil, "virtual_memory", lambda: memory(params * 4))
    with pytest.raises(
        ScrupleError, match=r"checkpoint c: needs .* GB of memory .*this machine has"
    ):
        load_engine(manifest, Compute(device="cpu"), 1)
    monkeypatch.setattr(loading.psutil, "virtual_memory", lambda: memory(params * 5))
    assert load_engine(manifest, Compute(device="cpu"), 1)


@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "touched"])
def test_files_that_changed_since_they_were_fetched(make_checkpoint, tmp_path, damage):
    path, params = make_checkpoint("changed", 8, 1)
    folder = tmp_path / "changed"
    shutil.copytree(path, folder)
    manifest = fetch_checkpoint(Checkpoint(name="c", params=params, path=str(folder)), silent)
    manifest = manifest.written_to(tmp_path / "m.json", time.time_ns())
    loading.check_files(manifest)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "gone":
        weights.unlink()
    else:
        content[len(content) // 2] ^= damage == "flipped"
        weights.write_bytes(content[:-100] if damage == "short" else content)
    if damage == "touched":  # the same content
        loading.check_files(manifest)
        return
    with pytest.raises(
        ScrupleError, match=r"model\.safetensors is not what it was .*Delete .*m\.json"
    ):
        loading.check_files(manifest)


def test_only_the_weights_that_are_loaded_are_taken():
    names = [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "consolidated.safetensors", "adapter_model.safetensors", "pytorch_model.bin",
        "training_args.bin", "model.safetensors.index.json", "tokenizer.json", "own.py",
        "onnx/model.onnx", "README.md",
    ]  # fmt: skip
    assert weight_files(names, Hub(allow_pickle=True), "x") == names[:2]
    assert describing_files(names, False) == ["model.safetensors.index.json", "tokenizer.json"]
    assert "own.py" in describing_files(names, True)
    with pytest.raises(ScrupleError, match="x: has no weights"):
        weight_files(["training_args.bin", "config.json"], Hub(allow_pickle=True), "x")


def test_a_part_of_another_file_is_found_out(tmp_path):
    """A server that knows no ranges, and a part that an older version of the file left."""
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    (tmp_path / "file").write_bytes(b"x" * 5000)
    pinned = Pinned(sha256=sha256(tmp_path / "file"))
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target, said = tmp_path / "to" / "file", []
    target.parent.mkdir()
    (target.parent / "file.partial.incomplete").write_bytes(b"y" * 3000)
    url = f"http://127.0.0.1:{server.server_port}/file"
    bring(url, target, pinned, said.append, lock=tmp_path / "lock", title="file")
    server.shutdown()
    assert found_instead(target, pinned) is None
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_password_in_an_address_is_not_told():
    assert (
        plain("no answer from http://me:secret@mirror/x\nmore") == "no answer from http://mirror/x"
    )
    assert plain(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checkpoint": "d"}, "its `checkpoint` is d, and the config says c"),
        ({"params": 99}, "its `params` is 99, and the config says"),
        ({"params": "many"}, "is no manifest of a checkpoint .`params`"),
        ({"files": None}, "is no manifest of a checkpoint .`files`"),
        (None, "is damaged"),
    ],
)
def test_manifests_are_checked_before_a_run(make_checkpoint, tmp_path, monkeypatch, change, said):
    path, params = make_checkpoint("listed", 8, 1)
    study = load_study(
        {
            "study": "s", "conditions": ["q"], "benchmarks": [{"name": "bbq", "source": "own"}],
            "families": [{"name": "f", "checkpoints": [
                {"name": "c", "params": params, "path": str(path)}]}],
        }
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    check_manifests(study, [("f", "c")])  # none yet
    target = tmp_path / "results" / "s" / "checkpoints" / "f" / "c.json"
    fetch_checkpoint(study.families[0].checkpoints[0], silent).written_to(target, 0)
    check_manifests(study, [("f", "c")])
    whole = json.loads(target.read_text())
    target.write_text("{" if change is None else json.dumps(whole | change))
    with pytest.raises(ScrupleError, match=rf"c\.json: {said}.*delete it and run again"):
        check_manifests(study, [("f", "c")])


def test_tokens_beyond_the_embedding(make_checkpoint, tmp_path, no_weights):
    path, params = make_checkpoint("beyond", 8, 1)
    folder = tmp_path / "beyond"
    shutil.copytree(path, folder)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_tokens([" option"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ScrupleError, match=r"' option' \(number \d+\), and the model knows only"):
        ask(folder, params, tmp_path)


def test_a_chat_template_that_drops_the_question(make_checkpoint, tmp_path, no_weights):
    path, params = make_checkpoint("drops", 8, 1)
    folder = tmp_path / "drops"
    shutil.copytree(path, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<{{ m.role }}>{% endfor %}")
    with pytest.raises(
        ScrupleError, match="checkpoint c: its chat template drops or changes the qu"
    ):
        ask(folder, params, tmp_path)


@pytest.mark.parametrize("unknown", ["<unk>", None])
def test_a_tokenizer_that_loses_characters(make_checkpoint, tmp_path, no_weights, unknown):
    """It knows no e; each one becomes an unknown token, or nothing at all."""
    path, params = make_checkpoint("eless", 8, 1)
    folder = tmp_path / "eless"
    shutil.copytree(path, folder)
    known = dict.fromkeys(
        ["<unk>", *"abcdfghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,?()\n:"]
    )
    words = {character: number for number, character in enumerate(known)}
    backend = Tokenizer(models.BPE(words, [], unk_token=unknown))
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>").save_pretrained(folder)
    with pytest.raises(ScrupleError, match=r"the tokenizer loses \d+ of the prompt's \d+ char"):
        ask(folder, params, tmp_path)
