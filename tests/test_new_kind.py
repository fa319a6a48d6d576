"""A fourth kind of benchmark, registered here: config, plan and checks take it as it is."""

import copy
import sys
import types

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from scruple.benchmarks import benchmark_module, winogender
from scruple.benchmarks.base import Items, Question, all_items, by_name
from scruple.costs.report import told
from scruple.costs.workload import estimate
from scruple.errors import ScrupleError
from scruple.figures.catalogue import figures_of
from scruple.prompts.check import check_prompts
from scruple.responses.trials import build_trials
from scruple.study.declaration import declared
from scruple.study.kinds import KINDS, BenchmarkKind, Measures, Needs
from scruple.study.model import load_study
from scruple.workflow.graph import Plan

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
RECORD = BenchmarkKind(
    name="greeting",
    needs=Needs(
        slots=frozenset({"who", "target"}),
        question=frozenset({"who"}),
        forms=("reply",),
        answers=("warm", "cold"),
    ),
    measures=Measures({"coldness": "coldness_counted", "coldness_counted": "coldness"}, ("valid_mass", "warmth")),
    bias="coldness",
    titles={"coldness": "p(cold)"},
    tokens={
        "items": {"own": 3, "upstream": 3},
        "tokens": {"all": {
            "q": {"rows": 1.0, "length": 20, "distinct": 10},
            "other": {"rows": 1.0, "length": 30, "distinct": 15},
        }},
    },
    module="test_new_kind_module",
)  # fmt: skip
PROMPTS = {
    "question": "Somebody named {who} comes in.",
    "answers": {"reply": {"lead_in": "The clerk is", "candidates": {
        "warm": [" warm"], "cold": [" cold"]}}},
    "instructions": {"if": {"a": "Treat everybody alike."}},
    "reasoning": {},
}  # fmt: skip
MARGIN = {
    "metric": "coldness", "delta": 0.1, "reason": "a tenth is felt",
    "gate": {"metric": "valid_mass", "above": 0.1, "reason": "chosen for a test"},
    "keep": [
        {"metric": "valid_mass", "loss": 0.2, "reason": "chosen for a test"},
        {"metric": "warmth", "loss": 0.3, "reason": "chosen for a test"},
    ],
}  # fmt: skip


def question(item, prompts, scoring, order):
    answer = prompts.answers["reply"]
    slots = {"who": item["who"], "target": item["follow"]}
    candidates = {name: tuple(forms) for name, forms in answer.candidates.items()}
    return Question(slots, answer.lead_in, candidates)


def read(files, entry):
    table = pd.DataFrame(
        {"item_id": ["a", "b", "c"], "who": ["Ada", "Bo", "Cy"], "cluster": ["a", "b", "c"]}
    )
    return Items(table.assign(stratum="", weight=1.0, follow="warm"), pd.DataFrame())


@pytest.fixture
def greeting(monkeypatch, tmp_path):
    """Register the kind and its module; return a study of it alone."""
    module = types.ModuleType("test_new_kind_module")
    answers = ("warm", "cold")
    module.__dict__.update(
        ANSWERS=answers, SAMPLING_UNIT="item_id", STRATA=(), BY_STRATUM=False,
        shown=by_name(answers), over=all_items, read=read, question=question,
        tally_of=winogender.tally_of, metrics_of=lambda columns: [],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "test_new_kind_module", module)
    monkeypatch.setitem(KINDS, "greeting", RECORD)
    (tmp_path / "prompts" / "en").mkdir(parents=True)
    (tmp_path / "prompts" / "en" / "greeting.yaml").write_text(yaml.safe_dump(PROMPTS))
    dialogue = (ROOT / "data" / "prompts" / "en" / "dialogue.yaml").read_text()
    (tmp_path / "prompts" / "en" / "dialogue.yaml").write_text(dialogue)
    source = {"about": "made for a test", "licence": "none", "folder": str(tmp_path),
              "files": [{"path": "items.csv"}]}  # fmt: skip
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"greeting": {"own": source}}))
    (tmp_path / "items.csv").write_text("who\n")
    return copy.deepcopy(CONFIG) | {
        "study": "greetings",
        "prompts": str(tmp_path / "prompts"),
        "sources": str(tmp_path / "sources.yaml"),
        "benchmarks": [{"name": "greeting", "source": "own"}],
        "conditions": ["q", "q+if"],
        "margins": {"greeting": MARGIN},
        "families": [{"name": "f", "checkpoints": [
            {"name": str(size), "params": size, "package": "p", "file": "f.gguf"}
            for size in (10, 20)
        ]}],
    }  # fmt: skip


def test_config_checks_trials_and_plan_take_it(greeting, tmp_path):
    study = load_study(greeting)
    check_prompts(study)
    entry = study.benchmark("greeting")
    assert [keep.loss for keep in study.margin(entry).keeps] == [0.2, 0.3]
    assert declared(study)["margins"]["greeting"]["keep"][1]["loss"] == 0.3
    trials = list(build_trials(study, entry, read([], entry).table))
    assert len(trials) == 2 * 3
    assert "Somebody named Bo" in trials[2].turns.human
    assert estimate(study, entry).prompts == 2 * 3
    text = told(study, {}, tmp_path, lambda *_: lambda _: None)
    assert "greeting: 3 items, 6 prompts" in text
    assert {"scaling", "measures"} <= {figure.name for figure in figures_of(study)}
    assert benchmark_module("greeting").ANSWERS == ("warm", "cold")


def test_the_workflow_plans_it(greeting, monkeypatch):
    monkeypatch.setattr("scruple.workflow.graph.check_study", lambda study: None)  # no such package
    plan = Plan(greeting)
    assert plan.jobs() == [("f", "10", "greeting"), ("f", "20", "greeting")]
    settings = plan.response_settings("f", ["10"], "greeting")
    assert set(settings["prompts"]) == {"greeting", "dialogue"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "slope"}, r"`greeting\.metric` is `slope`; possible: coldness"),
        ({"keep": [MARGIN["gate"] | {"metric": "x"}]}, "unknown key"),
        ({"gate": []}, "empty"),
        ({"gate": [[MARGIN["gate"]]]}, "mapping"),
        ({"keep": [MARGIN["keep"][0]] * 2}, r"`greeting\.keep` names valid_mass more than once"),
        ({"keep": [MARGIN["keep"][0], MARGIN["keep"][0] | {"metric": "slope"}]},
         r"`greeting\.keep\[1\]\.metric` is `slope`"),
    ],
)  # fmt: skip
def test_wrong_margins_are_named(greeting, change, said):
    with pytest.raises(ScrupleError, match=said):
        load_study(greeting | {"margins": {"greeting": MARGIN | change}})


def test_margins_of_one_benchmark_go_before_those_of_its_kind():
    one = copy.deepcopy(CONFIG)
    one["benchmarks"] = [{"name": "bbq"}, {"name": "bbq-own", "kind": "bbq", "source": "own"}]
    own = {**one["margins"]["bbq"], "delta": 0.2, "reason": "other items, another margin"}
    study = load_study(one | {"margins": {**one["margins"], "bbq-own": own}})
    assert [study.margin(entry).delta for entry in study.benchmarks] == [0.05, 0.2]
    with pytest.raises(ScrupleError, match="`bbq-mine` is neither a benchmark of this study nor"):
        load_study(one | {"margins": {"bbq-mine": own}})


def test_a_list_of_one_is_declared_as_the_one():
    listed = copy.deepcopy(CONFIG)
    for margin in listed["margins"].values():
        margin["gate"], margin["keep"] = [margin["gate"]], [margin["keep"]]
    assert declared(load_study(listed)) == declared(load_study(CONFIG))


def test_a_benchmark_has_a_language_of_its_own():
    config = copy.deepcopy(CONFIG)
    config["benchmarks"] = [
        {"name": "bbq", "source": "own"},
        {
            "name": "bbq-control",
            "kind": "bbq",
            "source": "control",
            "language": "control",
            "scoring": ["text"],
        },
    ]
    config["conditions"] = ["q", "q+if"]
    study = load_study(config)
    check_prompts(study)
    assert [study.language_of(entry) for entry in study.benchmarks] == ["en", "control"]
    assert "language" not in declared(study)["benchmarks"]["bbq"]
    assert declared(study)["benchmarks"]["bbq-control"]["language"] == "control"
