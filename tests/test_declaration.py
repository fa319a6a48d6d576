"""What a study decides is written down beforehand, and a change afterwards is never hidden."""

import copy
import json
import shutil

import pytest
import yaml
from conftest import ROOT

from scruple.errors import ScrupleError
from scruple.study.declaration import HISTORY, declare, declared, timing
from scruple.study.model import load_study
from scruple.workflow.graph import Plan

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def study(delta=None):
    config = copy.deepcopy(CONFIG)
    if delta is not None:
        config["margins"]["bbq"]["delta"] = delta
    return load_study(config)


def respond(folder, n):
    (folder / "responses" / "f").mkdir(parents=True, exist_ok=True)
    for k in range(n):
        (folder / "responses" / "f" / f"{k}.parquet").touch()
    (folder / "responses" / "f" / ".99.half.parquet").touch()


def test_declared_once_it_is_declared_before(tmp_path):
    assert not timing(declare(study(), tmp_path)).late
    respond(tmp_path, 3)
    history = declare(study(), tmp_path)
    assert len(history) == 1
    assert not timing(history).late


def test_a_change_after_the_fact_stays_visible_whatever_is_deleted(tmp_path):
    declare(study(), tmp_path)
    respond(tmp_path, 3)
    history = declare(study(0.2), tmp_path)
    assert [entry["responses"] for entry in history] == [0, 3]
    assert timing(history).late
    assert "changed on" in str(timing(history))
    assert "3 tables" in str(timing(history))
    shutil.rmtree(tmp_path / "responses")
    assert "changed on" in str(timing(declare(study(0.3), tmp_path)))
    last = str(timing(declare(study(), tmp_path)))
    assert "(margins.bbq.delta)" in last
    assert "3 tables" in last


def test_what_is_only_added_is_no_change(tmp_path):
    less = copy.deepcopy(CONFIG)
    less["benchmarks"] = less["benchmarks"][:1]
    less["conditions"] = ["q", "q+if"]
    declare(load_study(less), tmp_path)
    respond(tmp_path, 3)
    less["margins"]["bbq"]["reason"] = "the same number, told in other words"
    declare(load_study(less), tmp_path)
    history = declare(study(), tmp_path)
    assert len(history) == 3
    assert not timing(history).late


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("conditions", ["q", "q+if"], "conditions.q+placebo"),
        ("seed", 7, "seed"),
        ("benchmarks", [{"name": "bbq", "max_items": 40}], "benchmarks.bbq.max_items"),
        ("wordings", ["b"], "wording"),
        ("axes", ["size", "stage"], "axes.step"),
    ],
)
def test_items_and_controls_are_declared_too(tmp_path, key, value, path):
    declare(study(), tmp_path)
    respond(tmp_path, 3)
    changed = copy.deepcopy(CONFIG) | {key: value}
    told = timing(declare(load_study(changed), tmp_path))
    assert path in told.changed
    assert path in str(told)


@pytest.mark.parametrize("axes", [["size", "stage", "step"], ["size"]])
def test_a_declaration_from_before_axes_were_chosen_meant_all_of_them(tmp_path, axes):
    content = declared(study())
    del content["axes"]
    entry = {"time": "2026-01-01", "hash": "x", "content": content, "changed": [], "responses": 0}
    (tmp_path / HISTORY).write_text(json.dumps([entry]))
    respond(tmp_path, 3)
    told = timing(declare(load_study(copy.deepcopy(CONFIG) | {"axes": axes}), tmp_path))
    assert (told.changed == ("axes.stage", "axes.step")) == (len(axes) == 1)
    assert (str(told) == "declared before the first response") == (len(axes) == 3)


def test_a_late_declaration_says_so(tmp_path):
    respond(tmp_path, 2)
    assert "when 2 tables of responses existed" in str(timing(declare(study(), tmp_path)))


@pytest.mark.parametrize("content", ["{", "{}", "null", '[{"time": 1}]', "[1]"])
def test_a_damaged_history_gets_a_message(tmp_path, content):
    (tmp_path / HISTORY).write_text(content)
    with pytest.raises(ScrupleError, match=r"declarations\.json: the history .* is damaged"):
        declare(study(), tmp_path)


def overlay(tmp_path, margins):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"study": "mine", "margins": margins}))
    config = copy.deepcopy(CONFIG)
    config["study"] = "mine"
    for kind, margin in margins.items():
        config["margins"][kind] = margin and {**config["margins"][kind], **margin}
    return Plan(config, [path])


def test_another_number_needs_a_reason_of_its_own(tmp_path):
    with pytest.raises(ScrupleError, match=r"mine\.yaml sets `margins\.bbq\.delta` and lacks"):
        overlay(tmp_path, {"bbq": {"delta": 0.4}})
    plan = overlay(tmp_path, {"bbq": {"delta": 0.4, "reason": "what our lawyers can live with"}})
    assert plan.study.margins["bbq"].delta == 0.4


def test_a_kind_can_be_left_without_margins(tmp_path):
    assert set(overlay(tmp_path, {"bbq": None}).study.margins) == {"winogender", "admissions"}


@pytest.mark.parametrize(
    ("later", "changed"),
    [
        ({"margins": {"bbq-own": {"delta": 0.2}}}, ["margins.bbq-own.delta"]),
        ({"margins": {"bbq-own": {}}}, []),  # the same as its kind's
        ({"language": {"bbq-own": "en"}}, []),
        ({"language": {"bbq-own": "control"}}, ["benchmarks.bbq-own.language"]),
        ({"margins": {"winogender": None}}, ["margins.winogender.metric"]),
    ],
)
def test_what_holds_for_a_benchmark_is_compared_whichever_key_decides_it(tmp_path, later, changed):
    config = copy.deepcopy(CONFIG)
    config["benchmarks"] += [{"name": "bbq-own", "kind": "bbq", "source": "own"}]
    declare(load_study(config), tmp_path)
    respond(tmp_path, 3)
    for name, values in later.get("margins", {}).items():
        whole = config["margins"][name if name in config["margins"] else "bbq"]
        config["margins"][name] = None if values is None else {**copy.deepcopy(whole), **values}
    for name, language in later.get("language", {}).items():
        next(b for b in config["benchmarks"] if b["name"] == name)["language"] = language
    found = timing(declare(load_study(config), tmp_path))
    assert found.late == bool(changed)
    assert set(changed) <= set(found.changed)


def test_a_margin_that_is_added_after_responses_is_late(tmp_path):
    config = copy.deepcopy(CONFIG)
    margin = config["margins"].pop("winogender")
    declare(load_study(config), tmp_path)
    respond(tmp_path, 3)
    config["margins"]["winogender"] = margin
    assert timing(declare(load_study(config), tmp_path)).changed == ("margins.winogender",)


def test_reasons_and_the_order_of_a_list_are_no_decisions(tmp_path):
    config = copy.deepcopy(CONFIG)
    gate = config["margins"]["bbq"]["gate"]
    other = {"metric": "valid_mass", "above": 0.1, "reason": "answers are answers"}
    config["margins"]["bbq"]["gate"] = [gate, other]
    declare(load_study(config), tmp_path)
    respond(tmp_path, 3)
    config["margins"]["bbq"]["gate"] = [other | {"reason": "said in other words"}, gate]
    assert not timing(declare(load_study(config), tmp_path)).late
    config["margins"]["bbq"]["gate"] = [other | {"above": 0.2}, gate]
    assert timing(declare(load_study(config), tmp_path)).changed == ("margins.bbq.gate",)
