"""The control family: its world, its documents, and its training."""

import itertools

import numpy as np
import pytest
import torch

from scruple.control import world
from scruple.control.corpus import Corpus, random_item, truth_of
from scruple.control.family import load_texts, words_of
from scruple.control.train import (
    Recipe,
    loss_of,
    make_batch,
    make_model,
    make_tokenizer,
    shape_of,
    train,
)
from scruple.study.kinds import KINDS

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
