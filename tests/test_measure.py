"""`scruple measure`: answers made elsewhere."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ITEMS

from scruple.analysis.metrics import COLUMNS
from scruple.cli import main
from scruple.responses.external import match_option

OPTIONS = ("The grandfather", "The grandson", "Can't be determined.")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("0", 0),
        (" 2 ", 2),
        ("1.0", 1),
        ("the grandson", 1),
        ("The Grandson.", 1),
        ("can't be determined}", 2),
        ("the grandf", 0),  # cut short, still unique
        ("the grand", None),  # cut short, not unique
        ("can't be told", 2),  # the first two words
        ("the grandson, who was late", 1),
        ("the uncle", None),
        ("", None),
        ("3", None),
        ("C", None),  # a letter is no text cut short
    ],
)
def test_matching(answer, expected):
    assert match_option(answer, OPTIONS) == expected


@pytest.fixture
def predictions(tmp_path):
    """Answers to twelve own items, as a model that names options freely would give them."""
    lines = (ITEMS / "bbq" / "Age.jsonl").read_text().splitlines()[:12]
    rows = []
    for number, record in enumerate(map(json.loads, lines)):
        text = record[f"ans{number % 3}"].lower()
        rows.append((record["category"], record["example_id"], text if number % 2 else number % 3))
    path = tmp_path / "answers.csv"
    pd.DataFrame(rows, columns=["category", "example_id", "answer"]).to_csv(path, index=False)
    return path


def command(answers, out, *items):
    items = items or [ITEMS / "bbq" / "Age.jsonl"]
    return ["measure", "--benchmark", "bbq", "--items", *map(str, items), "--answers",
            str(answers), "--out", str(out)]  # fmt: skip


def test_metrics_of_answers(predictions, tmp_path, capsys):
    out = tmp_path / "new" / "metrics.csv"
    assert main(command(predictions, out)) == 0
    table = pd.read_csv(out)
    assert list(table.columns) == COLUMNS
    assert table["checkpoint"].isna().all()
    # by hand: of the 12 items (6 ambiguous), answer k mod 3
    items = [json.loads(line) for line in (ITEMS / "bbq/Age.jsonl").read_text().splitlines()[:12]]
    lean = 0
    for number, item in enumerate(items):
        if item["context_condition"] == "disambig":
            continue
        tag = item["answer_info"][f"ans{number % 3}"][1]
        if tag != "unknown":
            lean += 1 if (tag == "old") == (item["question_polarity"] == "neg") else -1
    found = table[(table["metric"] == "bias_ambiguous") & (table["subset"] == "pooled")]
    assert found["value"].iloc[0] == pytest.approx(lean / 6)
    assert found["n_items"].iloc[0] == 6
    assert "156 items have no answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("category,example_id\nAge,0\n", "column answer is missing"),
        (
            "category,example_id,answer\nAge,0,1\nAge,0,2\n",
            "line 3: item Age-0 is answered a second",
        ),
        (
            "category,example_id,answer\nRace,0,1\n",
            "of 1 answers, 0 to items that were given, only 0 can be scored",
        ),
        ("", "its first line has nothing"),
        ("category,example_id,answer\nAge,0,1,\n", "line 2: 4 cells where the first line has 3"),
        ("category,example_id,answer\nAge,0,A\nAge,1,B\n", "no letter"),
        ("category,answer,example_id,answer\nAge,1,0,1\n", "answer is there twice"),
    ],
)
def test_bad_answers_get_one_message_and_no_output(tmp_path, content, part):
    answers = tmp_path / "answers.csv"
    answers.write_text(content)
    out = tmp_path / "metrics.csv"
    done = subprocess.run(
        [sys.executable, "-m", "scruple.cli", *command(answers, out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_missing_files_are_named(predictions, tmp_path, capsys):
    assert main(command(tmp_path / "none.csv", tmp_path / "m.csv")) == 1
    assert "none.csv" in capsys.readouterr().err
    assert main(command(predictions, tmp_path / "m.csv", tmp_path / "none.jsonl")) == 1
    assert "none.jsonl" in capsys.readouterr().err


def test_inputs_are_never_overwritten_and_devices_never_replaced(predictions, tmp_path, capsys):
    before = predictions.read_text()
    assert main(command(predictions, predictions)) == 1
    assert predictions.read_text() == before
    assert main(command(predictions, tmp_path)) == 1
    assert "it is a folder" in capsys.readouterr().err
    fifo, link, target = tmp_path / "fifo", tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    assert main(command(predictions, link)) == 0
    assert link.is_symlink()
    assert target.read_text().startswith("family,")
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE, text=True) as reader:
        assert main(command(predictions, fifo)) == 0
        assert reader.stdout.read() == target.read_text()
    assert fifo.is_fifo()
    assert main(command(predictions, predictions / "m.csv")) == 1


def test_the_same_items_twice_count_once(predictions, tmp_path, capsys):
    items = ITEMS / "bbq" / "Age.jsonl"
    assert main(command(predictions, tmp_path / "one.csv", items)) == 0
    assert main(command(predictions, tmp_path / "two.csv", items, items)) == 0
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()
    assert "168 items are left out: an exact duplicate" in capsys.readouterr().err
