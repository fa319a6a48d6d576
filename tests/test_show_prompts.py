"""`scruple prompts`: what a study would ask, printed before any run."""

import shutil

import pytest
from cells import CASES, tokenizer_of
from conftest import write_yaml

from scruple.cli import main
from scruple.workflow.prompts import visible

OWN = [
    {"name": "bbq", "source": "own", "scoring": ["text"]},
    {"name": "admissions", "source": "own"},
]


@pytest.fixture
def study(make_checkpoint, tmp_path, monkeypatch):
    """A study of three checkpoints: dialogue, a chat template, one that is refused."""
    monkeypatch.chdir(tmp_path)
    path, params = make_checkpoint("shown", 8, 1)
    checkpoints = [{"name": "plain", "params": params, "path": str(path), "seed": 0}]
    for number, (name, case) in enumerate([("chat", "dated"), ("open", "think")], start=1):
        folder = tmp_path / name
        shutil.copytree(path, folder)
        tokenizer_of("byte level", CASES[case].template).save_pretrained(folder)
        checkpoints.append({"name": name, "params": params, "path": str(folder), "seed": number})
    return {"study": "shown", "conditions": ["q", "q+if+cot"], "benchmarks": OWN, "margins": {},
            "families": [{"name": "f", "checkpoints": checkpoints}]}  # fmt: skip


def test_every_prompt_is_printed_and_every_refusal(study, tmp_path, capsys):
    file = write_yaml(tmp_path / "s.yaml", study)
    assert main(["prompts", "--configfile", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "bbq, q: plain (f)\n" in out
    assert "Human: " in out
    assert "bbq, q+if+cot: chat (f)\n" in out
    assert "Today is 26 July 2024.\n<|im_start|>user\n" in out
    assert "let me think about how to answer without bias or stereotypes: […]<|im_end|>" in out
    assert "open (f)" not in out
    assert err.count("checkpoint open: its chat template begins the assistant's turn") == 1
    assert not (tmp_path / "results").exists()


def test_one_checkpoint_with_tokens(study, tmp_path, capsys):
    file = write_yaml(tmp_path / "s.yaml", study)
    assert main(["prompts", "--configfile", str(file), "--checkpoint", "chat", "--tokens"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count(" (f)\n") == 4
    assert "<|im_start|>⟨" in out
    assert main(["prompts", "--configfile", str(file), "--checkpoint", "x"]) == 1
    assert "the study has no x; there are: plain, chat, open" in capsys.readouterr().err


def test_an_item_of_the_project_stands_in_for_those_to_be_fetched(study, tmp_path, capsys):
    study["benchmarks"] = [{"name": "winogender"}]
    study["families"][0]["checkpoints"] = study["families"][0]["checkpoints"][:1]
    file = write_yaml(tmp_path / "s.yaml", study)
    assert main(["prompts", "--configfile", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "winogender, q: plain (f)" in out
    assert "an item of the project's own stands in" in err


def test_faults_of_the_config_are_one_message(study, tmp_path, capsys):
    for change, part in (({"conditions": ["q", "q+none"]}, "q+none"), ({"study": None}, "`study`")):
        file = write_yaml(tmp_path / "s.yaml", {**study, **change})
        assert main(["prompts", "--configfile", str(file)]) == 1
        assert part in capsys.readouterr().err
    (tmp_path / "s.yaml").write_text("study: s\ndate: 2024-02-30\n")
    assert main(["prompts", "--configfile", str(tmp_path / "s.yaml")]) == 1
    assert "not valid YAML: day is out of range" in capsys.readouterr().err
    (tmp_path / "s.yaml").write_text("- a list")
    assert main(["prompts", "--configfile", str(tmp_path / "s.yaml")]) == 1
    assert "is no mapping" in capsys.readouterr().err
    assert main(["prompts", "--configfile", str(tmp_path / "absent.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_control_characters_do_not_reach_the_terminal():
    assert visible("a\n\tb\x1b[31m c\u200b") == "a\n\tb\\x1b[31m c\\u200b"
