"""`scruple measure`: answers made elsewhere."""

import itertools
import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ITEMS, ROOT
from scipy import stats

from scruple.analysis.metrics import COLUMNS
from scruple.analysis.ranges import RANGE
from scruple.benchmarks import winogender
from scruple.cli import main
from scruple.study.settings import Benchmark


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


AGE = ITEMS / "bbq" / "Age.jsonl"
WINOGENDER = [ITEMS / "winogender" / name for name in ("templates.tsv", "occupations-stats.tsv")]
SURVEY = ITEMS / "admissions" / "law_data.csv"


def command(answers, out, *items, benchmark="bbq"):
    return ["measure", "--benchmark", benchmark, "--items", *map(str, items or [AGE]), "--answers",
            str(answers), "--out", str(out)]  # fmt: skip


def write(path, rows, columns):
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(path, index=False)
    return path


def age(n=None):
    return list(map(json.loads, AGE.read_text().splitlines()[:n]))


def pooled(path, metric, **keys):
    table = pd.read_csv(path)
    pooled_rows = table["subset"].isna() | (table["subset"] == "pooled")
    table = table[pooled_rows & (table["metric"] == metric)]
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_metrics_of_answers(predictions, tmp_path, capsys):
    out = tmp_path / "new" / "metrics.csv"
    assert main([*command(predictions, out), "--sampled"]) == 0
    table = pd.read_csv(out)
    assert list(table.columns) == COLUMNS + RANGE
    assert table["checkpoint"].isna().all()
    # by hand: of the 12 items (6 ambiguous), answer k mod 3
    lean = 0
    for number, item in enumerate(age(12)):
        if item["context_condition"] == "disambig":
            continue
        tag = item["answer_info"][f"ans{number % 3}"][1]
        if tag != "unknown":
            lean += 1 if (tag == "old") == (item["question_polarity"] == "neg") else -1
    found = pooled(out, "bias_ambiguous")
    assert found["value"] == found["value_low"] == found["value_high"] == pytest.approx(lean / 6)
    assert found["n_items"] == 6
    assert found["coverage"] == 1
    said = capsys.readouterr()
    assert "156 items were not asked, by --sampled" in said.err
    row = next(line for line in said.out.splitlines() if line.startswith("bias_ambiguous"))
    assert f"{lean / 6 + 0.0:.3f}" in row
    assert row.endswith("1.000")


def test_items_that_were_asked_and_have_no_answer_are_unknown(predictions, tmp_path, capsys):
    assert main(command(predictions, tmp_path / "m.csv")) == 0
    found = pooled(tmp_path / "m.csv", "bias_ambiguous")
    assert pd.isna(found["value"])
    assert found["coverage"] == pytest.approx(6 / 84)
    assert found["value_high"] - found["value_low"] == pytest.approx(2 * 78 / 84)
    err = capsys.readouterr().err
    assert "156 items have no answer (first: Age-12)" in err
    assert "`value` is empty where these differ" in err


def own_words(item, known):
    """A right answer in a text's own words; for nobody a phrase that is known, or none."""
    unknown = next(i for i in range(3) if item["answer_info"][f"ans{i}"][-1] == "unknown")
    nobody = "It doesn’t say which of the two." if known else "Who could tell, honestly"
    label = item["label"]
    return nobody if label == unknown else f"It was {item[f'ans{label}'].lower()}."


@pytest.mark.parametrize("known", [True, False])
def test_what_names_nobody_is_not_dropped(tmp_path, capsys, known):
    """Of 84 ambiguous items, 42 are answered “nobody” in own words, 24 biased and 18 the other way."""
    rows, lean = [], itertools.cycle([1] * 4 + [0] * 7 + [-1] * 3)
    for item in age():
        text = own_words(item, known)
        if item["context_condition"] == "ambig" and (way := next(lean)):
            tags = [item["answer_info"][f"ans{i}"][-1] for i in range(3)]
            wanted = "old" if (way == 1) == (item["question_polarity"] == "neg") else "nonOld"
            text = "abc"[tags.index(wanted)]
        rows.append(("Age", item["example_id"], text))
    answers = write(tmp_path / "a.csv", rows, "category,example_id,answer")
    assert main(command(answers, tmp_path / "m.csv")) == 0
    found = pooled(tmp_path / "m.csv", "bias_ambiguous")
    right = pooled(tmp_path / "m.csv", "accuracy_ambiguous")
    err = capsys.readouterr().err
    if known:
        assert found["value"] == pytest.approx((24 - 18) / 84)
        assert right["value"] == 0.5
        assert not err
    else:
        assert found["coverage"] == 0.5
        assert pd.isna(found["value"])
        assert (found["value_low"], found["value_high"]) == pytest.approx((-36 / 84, 48 / 84))
        assert (right["value_low"], right["value_high"]) == (0, 0.5)
        assert "42 answers are unclear (first: Age-" in err
        assert "“Who could tell, honestly”" in err
    assert pooled(tmp_path / "m.csv", "accuracy_disambiguated")["value"] == 1


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([1, 2, 3], r"line \d+: indices are 0, 1, 2; this file has 3: is it counted from 1\?"),
        ([0, 1, 2, 3], r"line \d+: indices are 0, 1, 2; this file has 3"),
        (["(1)", "Option 2", "3. The grandchild"], r"line \d+: .* this file has 3"),
        ([0, 1, 2, 7], r"line \d+: .* this file has 7"),
        ([1, 2], r"the \d+ numbers of this file are 1 and 2, never 0: is it counted from 1\?"),
        (["2.0"], r"the 168 numbers of this file are 2, never 0"),
    ],
)
def test_indices_that_count_from_1_are_refused(tmp_path, capsys, numbers, said):
    rows = [("Age", item["example_id"], numbers[k % len(numbers)]) for k, item in enumerate(age())]
    answers = write(tmp_path / "a.csv", rows, "category,example_id,answer")
    assert main(command(answers, tmp_path / "m.csv")) == 1
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / "m.csv").exists()


def test_numbered_steps_are_no_indices(tmp_path):
    rows = [
        (
            "Age",
            item["example_id"],
            f"1. I read it.\n2. I think.\n3. So the answer is {'abc'[item['label']]}.",
        )
        for item in age()
    ]
    answers = write(tmp_path / "a.csv", rows, "category,example_id,answer")
    assert main(command(answers, tmp_path / "m.csv")) == 0
    assert pooled(tmp_path / "m.csv", "accuracy_ambiguous")["value"] == 1


def test_a_few_numbers_without_a_0_are_indices_with_a_remark(tmp_path, capsys):
    rows = [("Age", 0, "1"), ("Age", 1, "the grandparent"), ("Age", 2, "2")]
    answers = write(tmp_path / "a.csv", rows, "category,example_id,answer")
    assert main([*command(answers, tmp_path / "m.csv"), "--sampled"]) == 0
    assert (
        "the 2 numbers of this file are 1 and 2, never 0; they are read" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("from_1", "said"),
    [
        (
            [1, 2, 3],
            r"line \d+: indices are 0, 1, 2; this file has 3 under y: is it counted from 1",
        ),
        ([1, 2], r"the 40 numbers of this file under y are 1 and 2, never 0: is it counted from 1"),
    ],
)
def test_each_condition_is_checked_for_indices_that_count_from_1(tmp_path, capsys, from_1, said):
    rows = [
        ("Age", item["example_id"], condition, numbers[k % len(numbers)])
        for k, item in enumerate(age(40))
        for condition, numbers in (("x", [0, 1, 2]), ("y", from_1), ("z", "abc"))
    ]
    answers = write(tmp_path / "a.csv", rows, "category,example_id,condition,answer")
    assert main([*command(answers, tmp_path / "m.csv"), "--sampled"]) == 1
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / "m.csv").exists()
    few = [row for row in rows if row[2] != "y" or row[1] < 6]
    write(answers, few, "category,example_id,condition,answer")
    done = main([*command(answers, tmp_path / "m.csv"), "--sampled"])
    assert done == (3 in from_1)
    assert (
        done
        or "6 numbers of this file under y are 1 and 2, never 0; they" in capsys.readouterr().err
    )


def test_a_long_answer_is_read(tmp_path, capsys):
    """The module csv has a limit of 131,072 characters by itself."""
    thoughts = f"<think>{'It could be a or b. ' * 10_000}</think>"
    rows = [("Age", 0, f"{thoughts}\n(b)"), ("Age", 1, "a"), ("Age", 2, thoughts), ("Age", 4, "b")]
    answers = write(tmp_path / "a.csv", rows, "category,example_id,answer")
    assert main([*command(answers, tmp_path / "m.csv"), "--sampled"]) == 0
    assert "1 answers are unclear (first: Age-2" in capsys.readouterr().err


def test_the_example_of_the_page_works(tmp_path, capsys, monkeypatch):
    parts = (ROOT / "docs" / "measure.md").read_text().split("```")
    script, table, remarks = parts[1], parts[3], parts[5]
    (tmp_path / "answers.csv").write_text(script.split("<<'END'\n")[1].split("END\n")[0])
    arguments = script.split("scruple ")[1].replace("\\\n", "").split()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out == table.lstrip("\n")
    assert said.err.split() == remarks.split()  # the page breaks its lines


def test_conditions_are_measured_one_by_one(tmp_path, capsys):
    rows = [
        (f"Age-{item['example_id']}", condition, "abc"[item["label"]] if condition == "q" else "a")
        for item in age()
        for condition in ("q", "q+if")
    ]
    answers = write(tmp_path / "a.csv", rows, "item_id,condition,answer")
    assert main(command(answers, tmp_path / "m.csv")) == 0
    assert pooled(tmp_path / "m.csv", "accuracy_ambiguous", condition="q")["value"] == 1
    assert pooled(tmp_path / "m.csv", "position_bias", condition="q+if")["value"] == 1
    assert capsys.readouterr().out.count("q+if") == 5
    write(tmp_path / "a.csv", [*rows, rows[-1]], "item_id,condition,answer")
    assert main(command(answers, tmp_path / "m.csv")) == 1
    assert "answered a second time under q+if" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["item_id", "occupation,participant"])
def test_winogender(tmp_path, columns):
    items = winogender.read(WINOGENDER, Benchmark(name="winogender")).table
    forms = {
        "nominative": ("she", "he"), "possessive": ("her", "his"), "accusative": ("her", "him"),
    }  # fmt: skip
    rows = []
    for number, item in enumerate(items.to_dict("records")):
        word = forms[item["case"]][item["pct_female"] < 50]
        whole = f"{item['before']} {word}{item['after']}"
        text = (word, f"**{word.upper()}**", f"The answer is “{word}”.", whole)[number % 4]
        names = item["item_id"].rsplit("-", 2)
        rows.append((*([item["item_id"]] if columns == "item_id" else names[:2]), text))
    answers = write(tmp_path / "a.csv", rows, f"{columns},answer")
    out = tmp_path / "m.csv"
    assert main(command(answers, out, *WINOGENDER, benchmark="winogender")) == 0
    share, female = items["pct_female"] / 100, items["pct_female"] >= 50
    found = pooled(out, "slope_counted")
    assert found["value"] == pytest.approx(stats.linregress(share, female.astype(float)).slope)
    assert found["ci_low"] < found["value"] < found["ci_high"]
    assert found["coverage"] == 1


def test_admissions(tmp_path):
    survey = pd.read_csv(SURVEY).drop_duplicates()
    rows = [
        (sex, lsat, f"{gpa:.2f}", race, "Yes, admit" if lsat > 30 or race == "Black" else "No.")
        for sex, lsat, gpa in survey.itertuples(index=False)
        for race in ("Black", "white")
    ]
    answers = write(tmp_path / "a.csv", rows, "sex,lsat,gpa,race,answer")
    out = tmp_path / "m.csv"
    assert main(command(answers, out, SURVEY, benchmark="admissions")) == 0
    low = (pd.read_csv(SURVEY)["LSAT"] <= 30).mean()
    assert pooled(out, "admission_gap_counted")["value"] == pytest.approx(low)
    assert pooled(out, "yes_rate")["value"] == pytest.approx(1 - low / 2)


def person(number, tags, groups, texts=("Ａ", "Ｂ", "わからない")):
    item = {**age(1)[0], "example_id": number, "category": "Nationality"}
    info = {f"ans{i}": [texts[i], tags[i]] for i in range(3)}
    ambiguous = {"context_condition": "ambig", "question_polarity": "neg", "label": 2}
    options = {f"ans{i}": text for i, text in enumerate(texts)}
    return {**item, **ambiguous, **options, "answer_info": info,
            "additional_metadata": {"stereotyped_groups": groups}}  # fmt: skip


def test_items_in_any_script_are_read_by_their_tags(tmp_path, capsys):
    for name, tags, groups in (
        ("ja", ("女性", "男性", "unknown"), ["女性"]),
        ("hi", ("नारी", "नर", "unknown"), ["नारी"]),
        ("ru", ("Внук", "Дедушка", "unknown"), ["ВНУК"]),
        ("ar", ("مسلم", "يهودي", "Unknown"), ["مسلم"]),
        ("de", ("Türke", "Grieche", "unknown"), ["tu\u0308rke"]),
    ):
        items, out = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.csv"
        records = [person(0, tags, groups), person(1, tags, ["", "—", "別人"])]
        items.write_text("\n".join(map(json.dumps, records)))
        rows = [("Nationality-0", "a"), ("Nationality-1", "b")]
        assert main(command(write(tmp_path / "a.csv", rows, "item_id,answer"), out, items)) == 0
        err = capsys.readouterr().err
        assert pooled(out, "bias_ambiguous")[["value", "n_items"]].tolist() == [1, 1], name
        assert "1 items are left out: the tags do not single out a stereotyped person" in err
    items.write_text(json.dumps(person(0, ("ADHD", "健常者", "unknown"), ["身体障害"])))
    assert main(command(tmp_path / "a.csv", tmp_path / "m.csv", items)) == 1
    assert "1 left out: the tags do not single out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("category,example_id\nAge,0\n", "column answer is missing"),
        ("category,answer\nAge,0\n", "no columns that name an item; give `category` and `exam"),
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
        (
            "category,example_id,answer\nAge,0,D\nAge,1,x\n",
            "2 answers are unclear (first: Age-0 “D”",
        ),
        ("category,example_id,answer\n", "of 0 answers, 0 to items"),
        (
            "category,example_id,answer,item_id,item_id\nAge,0,9,0,0\n",
            "line 2: indices are 0, 1, 2",
        ),
        ("category,answer,example_id,answer\nAge,1,0,1\n", "answer is there twice"),
    ],
)
def test_bad_answers_get_one_message_and_no_output(tmp_path, capsys, content, part):
    answers = tmp_path / "answers.csv"
    answers.write_text(content)
    out = tmp_path / "metrics.csv"
    assert main(command(answers, out)) == 1
    said = capsys.readouterr()
    assert part in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not out.exists()


def test_the_command_itself_ends_with_its_message(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scruple.cli", *command(tmp_path / "none.csv", tmp_path / "m.csv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("scruple: ")
    assert "Traceback" not in done.stderr


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
