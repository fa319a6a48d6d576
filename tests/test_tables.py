"""Every column of every table is described in docs/tables.md."""

import re

import pandas as pd
import pytest
import yaml
from conftest import ITEMS, ROOT

from scruple.analysis.abilities import ABILITIES
from scruple.analysis.curves import CURVES
from scruple.analysis.metrics import COLUMNS
from scruple.analysis.power import POWER
from scruple.analysis.ranges import RANGE
from scruple.analysis.sensitivity import SENSITIVITY
from scruple.analysis.verdicts import EFFECTS, EMERGENCE, read_places, write_places
from scruple.benchmarks import benchmark_module
from scruple.errors import ScrupleError
from scruple.figures.results import read_tables
from scruple.responses.table import schema_of
from scruple.study.kinds import KINDS
from scruple.study.model import load_study
from scruple.study.settings import Benchmark

PAGE = (ROOT / "docs" / "tables.md").read_text()
TABLES = {
    "metrics": COLUMNS,
    "effects": EFFECTS,
    "emergence": EMERGENCE,
    "curves": CURVES,
    "sensitivity": SENSITIVITY,
    "abilities": ABILITIES,
    "power": POWER,
}


def named(section):
    return set(re.findall(r"`([a-z_0-9]+)`", section))


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_described(table):
    section = PAGE.split(f"## `{table}.csv`\n")[1].split("\n## ")[0]
    assert named(section) >= set(TABLES[table])
    shared = PAGE.split("## Columns that several tables share")[1].split("\n## ")[0]
    defined = {name for part in (section, shared) for row in re.findall(r"^\| (`.*?) \|", part, re.M)
               for name in named(row)}  # fmt: skip
    assert set(TABLES[table]) <= defined


def test_columns_of_answers_made_elsewhere_are_described():
    section = PAGE.split("## The table of `scruple measure`\n")[1].split("\n## ")[0]
    assert named(section) >= set(RANGE)


@pytest.mark.parametrize("kind", list(KINDS))
def test_items_and_responses_are_described(kind):
    section = PAGE.split("## Parquet files of one benchmark")[1].split("\n## ")[0]
    files = sorted((ITEMS / kind).glob("*.*"))
    files = [path for path in files if path.suffix in (".jsonl", ".tsv", ".csv")]
    items = benchmark_module(kind).read(files, Benchmark(name=kind)).table
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    assert set(items) <= named(section) | named(metrics)
    answers = "|".join(benchmark_module(kind).ANSWERS)
    for name in schema_of(kind).names:
        assert re.sub(f"_({answers})$", "_<answer>", name) in re.findall(r"`([a-z_<>]+)`", section)


@pytest.mark.parametrize("name", [name for name in TABLES if "benchmark" in TABLES[name]])
def test_the_language_is_the_last_column(name):
    assert list(TABLES[name])[-1] == "language"


def test_places_in_a_cell_are_read_back():
    places = [(1604.0, "nothing to correct"), ("dpo-2.1", "unreadable"), (1.2e10, "collapses")]
    cell = write_places(places)
    assert read_places(cell) == [
        ("1604", "nothing to correct"), ("dpo-2.1", "unreadable"), ("1.2e+10", "collapses"),
    ]  # fmt: skip
    assert read_places("") == []
    assert list(pd.Series([write_places([])])) == [""]


def test_a_table_of_an_older_version_is_refused(tmp_path):
    study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text()))
    for name, columns in TABLES.items():
        old = columns[:-1] if name == "emergence" else columns
        pd.DataFrame(columns=old).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(ScrupleError, match=r"emergence\.csv: lacks the columns language: it was"):
        read_tables(study, tmp_path, {})
