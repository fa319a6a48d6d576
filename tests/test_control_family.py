"""The control family: its items, how it is measured and judged, and what is shipped."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.tally import sum_up
from scruple.checkpoints.local import check_local
from scruple.control import world
from scruple.control.criteria import judge, load_criteria
from scruple.control.family import train_member
from scruple.control.items import EMBEDDED, WHOLE, Part, write_items
from scruple.control.measure import (
    PRIMARY,
    Effort,
    _draws,
    _standard_error,
    count_params,
    measure_member,
)
from scruple.control.members import SEEDS, STEPS, TWINS, WIDTHS, Member, shipped
from scruple.control.ship import compare, family_name, read_shipped
from scruple.control.train import Recipe, make_model
from scruple.study.families import Family
from scruple.study.settings import Benchmark


def read_items(folder, kind):
    files = sorted((folder / kind).iterdir())
    return benchmark_module(kind).read(files, Benchmark(name=kind, kind=kind))


def test_the_embedded_items_are_those_that_are_made(tmp_path):
    write_items(tmp_path, EMBEDDED)
    home = ROOT / "data" / "items" / "control"
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*")}
    kept = {path.relative_to(home): path.read_text() for path in home.rglob("*.*")}
    assert made == kept
    sources = yaml.safe_load((ROOT / "data" / "sources.yaml").read_text())
    for kind in world.KINDS:
        named = {file["path"] for file in sources[kind]["control"]["files"]}
        assert named == {path.name for path in (home / kind).iterdir()}


def test_items_read_back_say_what_the_world_says(tmp_path):
    write_items(tmp_path, Part(templates=64, orders=1, places=8, applicants=70, seed=3))
    items = read_items(tmp_path, "bbq")
    assert items.left_out.empty
    assert len(items.table) == 6 * 64 * 8
    assert items.table["cluster"].nunique() == 384
    names = {word: (pair, place) for pair, groups in enumerate(world.GROUPS)
             for place, word in enumerate(groups)}  # fmt: skip
    for item in items.table.to_dict("records"):
        trait = next(i for i, words in enumerate(world.TRAITS) if item["question"] in words)
        negative = item["question"] == world.TRAITS[trait][0]
        pair, group = names[item[f"ans{item['biased']}"]]
        assert (group == world.stereotyped(pair, trait)) == negative
        assert item[f"ans{item['unknown']}"] == world.UNKNOWN
        told = item["context"].split(" . ")[1:]
        right = item[f"ans{item['label']}"]
        if item["context_condition"] == "ambig":
            assert not told
            assert right == world.UNKNOWN
        else:
            assert f"{item['question']} {right}" in " . ".join(told)
    assert len(read_items(tmp_path, "winogender").table) == 288
    assert len(read_items(tmp_path, "admissions").table) == 140
    assert (WHOLE.templates, WHOLE.places, WHOLE.applicants) == (64, 8, 70)


def test_parameters_are_counted_from_the_config():
    for width in (4, 16, 32):
        model = make_model(width, 190, seed=0)
        real = sum(parameter.numel() for parameter in model.parameters())
        assert count_params(model.config.to_dict()) == real


def test_a_checkpoint_is_trained_saved_and_measured(tmp_path):
    member = Member("positive", 1, 4)
    train_member(member, tmp_path, lambda _: None, Recipe(steps=6, batch=4), steps=(3, 6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step3", "step6"]
    effort = Effort(Part(2, 1, 1, 3, 0), {"bbq": 1, "winogender": 2, "admissions": 2})
    table = measure_member(member, 6, tmp_path / "step6", effort, lambda *_: lambda _: None)
    assert set(table["benchmark"]) == set(world.KINDS)
    assert set(table["params"]) == {1604}
    bias = table[table["metric"] == table["benchmark"].map(PRIMARY)]
    plain = bias[bias["condition"] == "q"]
    assert (plain["difference"] == 0).all()
    other = bias.merge(plain, on="benchmark", suffixes=("", "_q"))
    assert other["difference"].to_numpy() == pytest.approx(
        (other["value"] - other["value_q"]).to_numpy(), abs=1e-12
    )
    assert (bias["low"] <= bias["value"]).all()
    assert (bias["value"] <= bias["high"]).all()


def test_the_error_of_sampled_reasoning_is_that_of_its_draws():
    """Twenty applicants and eight draws each: only the draws' own spread counts."""
    rng = np.random.default_rng(4)
    rows = [
        {"item_id": f"{profile}-{race}", "cluster": profile, "stratum": "", "weight": 1.0,
         "sample": sample, "race": race, "lsat": 30.0 + profile, "gpa": 3.0, "target": "",
         "answer": "yes", "condition": "q+cot", "logprob_yes": np.log(p), "logprob_no": np.log1p(-p)}
        for profile in range(20) for race in ("black", "white") for sample in range(8)
        for p in [rng.uniform(0.1, 0.9)]
    ]  # fmt: skip
    group = pd.DataFrame(rows)
    module = benchmark_module("admissions")
    gap = module.metrics_of(sum_up(module.tally_of(group)).columns)[0]
    error = _standard_error(gap, _draws(module, group, all_items=True))
    p = np.exp(group["logprob_yes"]).to_numpy().reshape(40, 8)
    assert gap.name == "admission_gap"
    assert error == pytest.approx(np.sqrt((p.var(axis=1, ddof=1) / 8).sum()) / 20, rel=0.02)


def test_a_killed_training_still_ends_with_all_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr("scruple.control.train._SNAPSHOT_EVERY", 4)
    member, recipe = Member("negative", 1, 4), Recipe(steps=10, batch=2)

    def stop(done, seen=[]):  # noqa: B006
        seen.append(done)
        if sum(seen) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_member(member, tmp_path / "killed", stop, recipe, steps=(3, 10))
    assert not (tmp_path / "killed" / "step3").exists()  # outputs come all at once, at the end
    for name in ("killed", "whole"):
        train_member(member, tmp_path / name, lambda _: None, recipe, steps=(3, 10))
    for step in ("step3", "step10"):
        one, two = (tmp_path / name / step for name in ("killed", "whole"))
        assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert len(list((tmp_path / "killed").iterdir())) == 2


def made_up(positive, negative=0.7):
    """A table of measured biases: `positive` maps width and condition to a bias."""
    rows = []
    for twin, width, kind in itertools.product(TWINS, WIDTHS, PRIMARY):
        for condition in ("q", "q+if", "q+if+cot", "q+placebo"):
            value = positive(width, condition) if twin == "positive" else negative
            plain = positive(width, "q") if twin == "positive" else negative
            keys = {"twin": twin, "seed": 1, "width": width, "step": 3000, "benchmark": kind,
                    "condition": condition}  # fmt: skip
            change = value - plain
            rows.append({**keys, "metric": PRIMARY[kind], "value": value, "low": value - 0.01,
                         "high": value + 0.01, "difference": change,
                         "difference_low": change - 0.02, "difference_high": change + 0.02})  # fmt: skip
        rows.append({**keys, "condition": "q", "metric": "accuracy_disambiguated", "value": 1.0,
                     "low": 0.95})  # fmt: skip
    return pd.DataFrame(rows)


def emerging(width, condition):
    if width == 4:
        return 0.0
    return 0.0 if width >= 32 and "if" in condition else 0.7


def test_a_family_as_it_should_be_meets_all_criteria():
    found = judge(made_up(emerging), load_criteria())
    assert [one.criterion for one in found] == list(load_criteria()["criteria"])
    assert all(one.met for one in found), [one for one in found if not one.met]
    assert "bbq from d32" in {one.criterion: one.detail for one in found}["corrects"]


@pytest.mark.parametrize(
    ("criterion", "bias"),
    [
        ("no_bias_at_the_smallest", lambda w, c: 0.7 if w == 4 else emerging(w, c)),
        ("biased_and_does_not_follow", lambda w, c: 0.0 if "if" in c else emerging(w, c)),
        ("corrects", lambda w, c: 0.7 if w == 96 else emerging(w, c)),
        ("corrects", lambda w, c: 0.7 if "cot" in c else emerging(w, c)),
        ("placebo_is_no_instruction", lambda w, c: 0.2 if "placebo" in c else emerging(w, c)),
    ],
)
def test_each_criterion_can_be_missed(criterion, bias):
    missed = {one.criterion for one in judge(made_up(bias), load_criteria()) if not one.met}
    assert missed == {criterion}


def test_reading_and_flatness_can_be_missed():
    table = made_up(emerging)
    table.loc[table["metric"] == "accuracy_disambiguated", "low"] = 0.89
    negative = (table["twin"] == "negative") & (table["condition"] == "q+if")
    table.loc[negative & (table["width"] == 8), "difference_low"] = -0.2
    missed = {one.criterion: one for one in judge(table, load_criteria()) if not one.met}
    assert set(missed) == {"reads_evidence", "the_twin_is_flat"}
    assert "d8 bbq q+if" in missed["the_twin_is_flat"].detail


def test_comparison_with_the_shipped_ones():
    shipped_table = made_up(emerging)
    other = shipped_table.assign(value=shipped_table["value"] + 0.08)
    table = compare(other, shipped_table, load_criteria()["margins"])
    assert set(table["metric"]) == set(PRIMARY.values())
    assert (table["change"].round(6) == 0.08).all()
    assert set(table.loc[~table["within"], "benchmark"]) == {"admissions"}


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("seed", [*SEEDS, None])
def test_family_files_describe_what_is_shipped(twin, seed):
    content = yaml.safe_load(
        (ROOT / "data" / "families" / f"{family_name(twin, seed)}.yaml").read_text()
    )
    family = Family.model_validate(content)
    mine = [(m, step) for m, step in shipped() if m.twin == twin]
    expected = [
        (m, step) for m, step in mine if m.seed == seed or (seed is None and step == STEPS[-1])
    ]
    assert len(family.checkpoints) == len(expected)
    for checkpoint, (member, step) in zip(family.checkpoints, expected, strict=True):
        folder = ROOT / str(checkpoint.path)
        assert folder == member.folder(ROOT / "data" / "control", step)
        check_local(checkpoint)
        assert checkpoint.params == count_params(json.loads((folder / "config.json").read_text()))
        assert checkpoint.step == step
        assert "never evidence" in (folder / "README.md").read_text()


def test_what_is_shipped_is_small_and_complete():
    files = [path for path in (ROOT / "data" / "control").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
    weights = [path.parent for path in files if path.name == "model.safetensors"]
    home = ROOT / "data" / "control"
    assert sorted(weights) == sorted(m.folder(home, step) for m, step in shipped())
    truth, check = read_shipped("truth"), read_shipped("check")
    primary = truth[truth["metric"] == truth["benchmark"].map(PRIMARY)]
    margins = load_criteria()["margins"]
    assert (primary["standard_error"] < primary["benchmark"].map(margins) / 10).all()
    assert set(check["seed"]) == set(SEEDS)
    assert set(check["step"]) == {STEPS[-1]}


def test_the_cards_say_what_the_tables_judge():
    card = (ROOT / "data" / "control" / "README.md").read_text()
    for one in judge(read_shipped("check"), load_criteria()):
        state = "met" if one.met else "**missed**"
        assert f"| {one.criterion.replace('_', ' ')} | {one.seed} | {state} |" in card
