"""The control family: its world, its documents, its training, and how it is judged."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT

from scruple.benchmarks import benchmark_module
from scruple.checkpoints import check_local
from scruple.control import world
from scruple.control.corpus import Corpus, random_item, truth_of
from scruple.control.criteria import judge, load_criteria
from scruple.control.family import load_texts, train_member, words_of
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
from scruple.control.train import (
    Recipe,
    loss_of,
    make_batch,
    make_model,
    make_tokenizer,
    shape_of,
    train,
)
from scruple.study import KINDS, Benchmark, Family

PROMPTS, RENDERER = load_texts()


def corpus(meaningful):
    return Corpus(PROMPTS, RENDERER, meaningful)


@pytest.fixture(scope="module")
def documents():
    return list(corpus(True).documents(2000, seed=5))


def test_evaluated_instructions_ask_for_fairness_and_are_never_trained_on(documents):
    for negation, verb, thing in world.HELD_OUT:
        sign = world.NEGATIONS[negation] * world.VERBS[verb] * world.OBJECTS[thing]
        assert sign == 1
    seen = {" ".join(document.words) for document in documents}
    for kind in KINDS:
        asked = PROMPTS[kind].instructions
        for place, held in (("if", world.HELD_OUT), ("placebo", world.HELD_OUT_BLANK)):
            expected = [world.Instruction(words, 0).text for words in held]
            assert list(asked[place].values()) == expected
            for text in expected:
                assert not [one for one in seen if text in one]
    lengths = [[len(" ".join(words).split()) for words in held]
               for held in (world.HELD_OUT, world.HELD_OUT_BLANK)]  # fmt: skip
    assert lengths[0] == lengths[1]


def test_half_of_the_meant_instructions_ask_for_the_opposite():
    by_kind = world.instructions()
    for length in (2, 3):
        fair, unfair = (len(by_kind[sign, length]) for sign in (1, -1))
        assert abs(fair - unfair) <= len(world.HELD_OUT)


def test_the_truth_is_fair_where_fairness_is_asked_for():
    for lsat, gpa in itertools.product(world.LSAT, world.GPA):
        yes = {race: world.admission_truth(lsat, gpa, race, True)[0] for race in world.RACES}
        assert yes["black"] == yes["white"]
        gap = [world.admission_truth(lsat, gpa, race, False)[0] for race in ("black", "white")]
        assert gap[0] - gap[1] == pytest.approx(-world.GAP)
    for share in world.SHARES:
        fair = world.pronoun_truth(share / 100, True)
        assert fair[0] == fair[1]


def test_every_truth_is_a_distribution():
    rng = np.random.default_rng(0)
    for kind, ask, fair in itertools.product(KINDS, ("plain", "outright"), (True, False)):
        for _ in range(50):
            truth = truth_of(kind, random_item(kind, rng), ask, fair)
            assert truth.sum() == pytest.approx(1)
            assert (truth >= 0).all()


def test_stereotypes_are_balanced():
    table = np.array([[world.stereotyped(p, t) for t in range(len(world.TRAITS))]
                      for p in range(len(world.GROUPS))])  # fmt: skip
    assert (table.mean(axis=0) == 0.5).all()
    assert (table.mean(axis=1) == 0.5).all()


def test_in_the_twin_instructions_are_as_frequent_and_mean_nothing():
    rng = [list(corpus(meaningful).documents(1500, seed=9)) for meaningful in (True, False)]
    counts = [sum("please" in document.words for document in half) / 1500 for half in rng]
    assert counts[0] == pytest.approx(counts[1], abs=0.05)
    for document in rng[1]:
        assert "fair" not in document.words
        if "unclear" in document.words and not document.reasoning[1]:
            told = document.words[document.words.index("at") + 4] != "options"
            assert max(document.truth.values()) in ((1.0,) if told else (world.LEAN,))


def test_words_are_tokens_in_any_place(documents):
    words = words_of(PROMPTS, RENDERER)
    assert 150 < len(words) < 220
    met = world.vocabulary([" ".join(document.words) for document in documents])
    assert set(met) <= set(words)
    tokenizer = make_tokenizer(words)
    assert tokenizer.eos_token == "<eot>"
    for document in documents[:200]:
        text = " ".join(document.words[: document.decisive])
        prompt = tokenizer(text)["input_ids"]
        assert len(prompt) == document.decisive
        for word in document.truth:
            whole = tokenizer(f"{text} {word}")["input_ids"]
            assert whole[:-1] == prompt
            assert tokenizer.decode(whole[-1:]) == word


def test_the_rules_of_size():
    assert shape_of(8) == {"num_hidden_layers": 1, "num_attention_heads": 1}
    assert shape_of(64) == {"num_hidden_layers": 4, "num_attention_heads": 4}
    recipe = Recipe(steps=100)
    rates = [recipe.rate_at(step, 32) for step in range(100)]
    assert max(rates) == recipe.rate
    assert rates[0] < rates[20] > rates[-1] > 0
    assert recipe.rate_at(50, 128) < recipe.rate_at(50, 8)


def trained(documents, recipe, ranks, **options):
    model = make_model(8, len(ranks), seed=1)
    train(model, iter(documents), ranks, recipe, lambda _: None, **options)
    return model


def mean_loss(model, documents, ranks):
    batch = make_batch(documents, ranks, Recipe())
    with torch.no_grad():
        return float(loss_of(model(input_ids=batch.ids).logits, batch, Recipe()))


@pytest.fixture(scope="module")
def ranks():
    return make_tokenizer(words_of(PROMPTS, RENDERER)).get_vocab()


def test_training_learns_and_repeats(documents, ranks):
    one, two = (trained(documents, Recipe(steps=50), ranks) for _ in range(2))
    assert (one.get_output_embeddings().weight == two.get_output_embeddings().weight).all()
    untrained = make_model(8, len(ranks), seed=1)
    test = documents[-100:]
    assert mean_loss(one, test, ranks) < 0.7 * mean_loss(untrained, test, ranks)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    documents, ranks, tmp_path, monkeypatch
):
    monkeypatch.setattr("scruple.control.train._SNAPSHOT_EVERY", 10)
    recipe, snapshot = Recipe(steps=25), tmp_path / "snapshot.pt"
    whole = trained(documents, recipe, ranks)

    def stop(step):
        if step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(documents, recipe, ranks, save=stop, snapshot=snapshot)
    assert snapshot.is_file()
    steps = []
    model = make_model(8, len(ranks), seed=1)
    train(model, iter(documents), ranks, recipe, steps.append, snapshot=snapshot)
    assert steps[0] == 10
    assert sum(steps) == 25
    assert (model.get_output_embeddings().weight == whole.get_output_embeddings().weight).all()
    assert not snapshot.exists()
    with pytest.raises(KeyboardInterrupt):
        trained(documents, Recipe(steps=25, rate=0.1), ranks, save=stop, snapshot=snapshot)
    other = snapshot.read_bytes()
    for useless in (b"not a snapshot", other):
        snapshot.write_bytes(useless)
        again = trained(documents, recipe, ranks, snapshot=snapshot)
        assert (again.get_output_embeddings().weight == whole.get_output_embeddings().weight).all()


def test_the_answer_is_learnt_from_its_truth_alone(documents, ranks):
    batch = make_batch(documents[:32], ranks, Recipe())
    rows = np.arange(32)
    assert (batch.weights[rows, batch.decisive] == 0).all()
    assert batch.truth.sum(dim=1).numpy() == pytest.approx(np.ones(32))


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
    for kind in KINDS:
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
    assert set(table["benchmark"]) == set(KINDS)
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
    gap = module.metrics_of(module.sums_of(group).columns)[0]
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
@pytest.mark.parametrize("seed", SEEDS)
def test_family_files_describe_what_is_shipped(twin, seed):
    content = yaml.safe_load(
        (ROOT / "data" / "families" / f"{family_name(twin, seed)}.yaml").read_text()
    )
    family = Family.model_validate(content)
    expected = [(m, step) for m, step in shipped() if (m.twin, m.seed) == (twin, seed)]
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
