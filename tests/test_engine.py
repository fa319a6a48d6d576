"""The reference engine against one plain forward per prompt."""

import re

import numpy as np
import pytest
import torch
from independent import Model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from scruple.checkpoints.location import Location
from scruple.checkpoints.manifest import Manifest, fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.engines import GenerateRequest, ScoreRequest, load_engine
from scruple.engines.sampling import keep_top_p
from scruple.engines.tokens import check_fit, encode, independent
from scruple.errors import ScrupleError
from scruple.prompts.marks import Marks
from scruple.study.families import Checkpoint
from scruple.study.settings import Compute, Decoding


def load(path, params, **compute):
    manifest = Manifest(checkpoint="tiny", params=params, origin="", folder=str(path), files={})
    return load_engine(manifest, Compute(device="cpu", dtype="float32", **compute), threads=1)


@pytest.fixture(scope="module")
def neox(make_checkpoint):
    return make_checkpoint("engine", 32, 2)


@pytest.fixture(scope="module")
def llama(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    assert config.tie_word_embeddings  # the output weights are the input's: not in the file
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path, sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def gemma3(tokenizer, tmp_path_factory):
    """A decoder with windows of six tokens, and a vision tower that reads no text."""
    path = tmp_path_factory.mktemp("gemma3")
    torch.manual_seed(1)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "sliding_window": 6, "max_position_embeddings": 512, "initializer_range": 0.3,
    }  # fmt: skip
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8, "patch_size": 2,
    }  # fmt: skip
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config=vision,
                                  image_token_index=len(tokenizer) - 1)  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path, sum(p.numel() for p in model.parameters())


REQUESTS = [
    ScoreRequest(f"r{i}", "Human: " + "why not? " * i + "\n\nAssistant: The answer is", forms,
                 tuple("abc"), True)
    for i, forms in enumerate([
        (" yes", " no", " maybe so, since nobody can tell"),
        (" the grandparent", " the grandchild", " that is left open"),
        (" she", " he", " they"),
        (" a", " a bit", " a bit more"),
    ] * 4)
]  # fmt: skip


def silent(_):
    return None


@pytest.mark.parametrize("family", ["neox", "llama", "gemma3"])
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_scores_are_those_of_plain_forwards(family, batch_tokens, request):
    path, params = request.getfixturevalue(family)
    engine, plain = load(path, params, batch_tokens=batch_tokens), Model(path)
    done = []
    scores = engine.score(REQUESTS, done.append)
    assert sum(len(found) for found in done) == len(REQUESTS)
    assert {i: one for found in done for i, one in found.items()} == dict(enumerate(scores))
    for asked, got in zip(REQUESTS, scores, strict=True):
        for form, logprob, tokens in zip(asked.candidates, got.logprobs, got.tokens, strict=True):
            expected, length = plain.logprob(asked.prompt, form)
            assert logprob == pytest.approx(expected, abs=2e-5)
            assert tokens == length
        assert got.prompt_tokens == len(plain.ids(asked.prompt))


def test_a_vision_tower_counts_and_is_told_apart(gemma3):
    path, params = gemma3
    checkpoint = Checkpoint(name="tiny", params=params, path=str(path))
    manifest = fetch_checkpoint(checkpoint, silent)
    engine = load_engine(manifest, Compute(device="cpu", dtype="float32"), threads=1)
    assert engine.describe()["params"] == params == manifest.shape.params()
    assert load_tokenizer(manifest.location).window == 512
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path))
    decoder = sum(p.numel() for p in model.model.language_model.parameters())
    assert manifest.shape.extra == params - decoder > 0.02 * params
    with pytest.raises(ScrupleError, match=f"has {params:,} parameters, and the config says"):
        load(path, decoder)


def test_valid_mass_counts_overlapping_candidates_once(neox):
    engine = load(*neox)
    scores = engine.score(REQUESTS[3:4], silent)[0]  # " a bit more" continues " a bit", and " a"
    assert scores.valid_mass == pytest.approx(np.exp(scores.logprobs[0]))
    assert independent([(1,), (1, 2), (3,), (3,)]) == [0, 2]


def test_draws_belong_to_the_request(neox):
    decoding = Decoding(max_new_tokens=12, temperature=1.3)
    asks = [
        GenerateRequest(f"g{i}", "Human: go " * (i + 1), 100 + i, True, Marks()) for i in range(9)
    ]
    alone = [load(*neox).generate([ask], decoding, silent)[0] for ask in asks]
    together = load(*neox, batch_tokens=10_000).generate(asks[::-1], decoding, silent)[::-1]
    assert alone == together
    assert len({one.text for one in alone}) > 5
    other = [GenerateRequest(a.key, a.prompt, a.seed + 1, True, Marks()) for a in asks]
    assert load(*neox).generate(other, decoding, silent) != alone


def test_sampling_follows_the_distribution(neox):
    """2,000 first tokens against the model's own probabilities (chi-square, fixed seeds)."""
    from scipy import stats

    path, params = neox
    prompt = "Human: Who was it?\n\nAssistant: It"
    asks = [GenerateRequest("g", prompt, seed, True, Marks()) for seed in range(2000)]
    engine = load(path, params, batch_tokens=100_000)
    texts = [g.text for g in engine.generate(asks, Decoding(max_new_tokens=1), silent)]
    plain = Model(path)
    p = torch.exp(plain.next(plain.ids(prompt))[-1]).numpy()
    names = [plain.tokenizer.decode([i]).rstrip("\ufffd").rstrip() for i in range(len(p))]
    expected: dict[str, float] = {}
    for name, share in zip(names, p, strict=True):
        expected[name] = expected.get(name, 0) + share
    common = [name for name, share in expected.items() if share * 2000 > 5]
    counts = [texts.count(name) for name in common]
    counts.append(2000 - sum(counts))
    shares = [expected[name] for name in common]
    shares.append(1 - sum(shares))
    assert stats.chisquare(counts, np.array(shares) * 2000).pvalue > 0.001


def test_generation_stops_at_the_turns_end(neox):
    engine = load(*neox)
    decoding = Decoding(max_new_tokens=60)
    ask = GenerateRequest("g", "Human: go", 5, True, Marks())
    text = engine.generate([ask], decoding, silent)[0].text
    stop = re.findall(r"[a-z]{3}", text)[1]  # letters: a stop text is never part of one character
    stopped = GenerateRequest("g", "Human: go", 5, True, Marks(starts=(stop,)))
    got = engine.generate([stopped], decoding, silent)[0]
    assert got.text == text.split(stop)[0].rstrip()
    assert got.tokens < 60


def test_top_p_keeps_the_likeliest_tokens():
    p = torch.tensor([[0.1, 0.5, 0.15, 0.25]], dtype=torch.float64)
    assert keep_top_p(p, 0.7).tolist() == [[0, 0.5, 0, 0.25]]
    assert keep_top_p(p, 0.5).tolist() == [[0, 0.5, 0, 0]]


def test_prompts_longer_than_the_window_are_refused_by_name(make_checkpoint):
    path, _ = make_checkpoint("short", 8, 1, window=64)
    reader = load_tokenizer(Location("short", str(path)))
    assert reader.window == 64
    check_fit(reader.tokenizer, 64, REQUESTS[:1], 0)
    with pytest.raises(
        ScrupleError, match=r"r0: the prompt needs up to .* the model's window has 64"
    ):
        check_fit(reader.tokenizer, 64, REQUESTS[:1], 60)
    with pytest.raises(ScrupleError, match=r"r15: "):
        check_fit(reader.tokenizer, 64, REQUESTS[15:], 0)


def test_candidates_that_the_tokenizer_cannot_tell_apart_are_refused(neox):
    tokenizer = AutoTokenizer.from_pretrained(neox[0])
    same = ScoreRequest("r", "It is", (" yes", " yes"), ("yes", "no"), True)
    with pytest.raises(ScrupleError, match="r: the checkpoint's tokenizer cannot tell"):
        encode(tokenizer, [same])
    forms = ScoreRequest("r", "It is", (" yes", " yes", " no"), ("yes", "yes", "no"), True)
    scores = load(*neox).score([forms], silent)[0]
    assert scores.logprobs[1] == -np.inf
    assert scores.valid_mass == pytest.approx(
        np.exp(scores.logprobs[0]) + np.exp(scores.logprobs[2])
    )


def test_a_candidate_that_melts_into_the_prompt_is_read_from_before_it(neox):
    path, params = neox
    tokenizer, plain = AutoTokenizer.from_pretrained(path), Model(path)
    prompt, forms = "The ans", ("wer is", "wers are")
    start = plain.ids(prompt)
    assert plain.ids(prompt + forms[0])[: len(start)] != start  # else this tests nothing
    asked = ScoreRequest("r", prompt, forms, ("x", "y"), True)
    encoded = encode(tokenizer, [asked])[0]
    scores = load(path, params).score([asked], silent)[0]
    for form, tokens, logprob in zip(forms, encoded.candidates, scores.logprobs, strict=True):
        whole = plain.ids(prompt + form)
        assert list(encoded.context + tokens) == whole
        table = plain.next(whole)
        first = len(encoded.context)
        expected = sum(float(table[i - 1, whole[i]]) for i in range(first, len(whole)))
        assert logprob == pytest.approx(expected, abs=2e-5)


def test_a_broken_checkpoint_gets_a_message(tmp_path, make_checkpoint):
    import shutil

    path, params = make_checkpoint("whole", 8, 1)
    broken = tmp_path / "broken"
    shutil.copytree(path, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ScrupleError, match="transformers cannot load"):
        load(broken, params)
    with pytest.raises(ScrupleError, match="is gone since it was fetched"):
        load(tmp_path / "nothing", params)


def changed(path, target, change):
    """Copy a checkpoint and change its tensors."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(path, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    return target


def test_missing_weights_are_not_made_up(neox, tmp_path):
    path, params = neox
    name = "gpt_neox.layers.0.attention.dense.weight"
    lacking = changed(path, tmp_path / "lacking", lambda tensors: tensors.pop(name))
    with pytest.raises(ScrupleError, match=rf"lacks 1 weights .*{name}"):
        load(lacking, params)


def test_probabilities_that_are_no_numbers_are_refused(neox, tmp_path):
    path, params = neox
    damaged = changed(
        path, tmp_path / "nan", lambda tensors: tensors["embed_out.weight"].fill_(float("nan"))
        if "embed_out.weight" in tensors else tensors["lm_head.weight"].fill_(float("nan")),
    )  # fmt: skip
    with pytest.raises(ScrupleError, match=r"tiny: the checkpoint's logits in float32 are not fin"):
        load(damaged, params)


def test_a_checkpoints_own_generation_settings_change_no_draw(neox, tmp_path):
    import json
    import shutil

    path, params = neox
    strict = tmp_path / "strict"
    shutil.copytree(path, strict)
    settings = {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "min_new_tokens": 20,
                "eos_token_id": 0, "temperature": 0.1}  # fmt: skip
    (strict / "generation_config.json").write_text(json.dumps(settings))
    asks = [GenerateRequest(f"g{i}", "Human: go", i, True, Marks()) for i in range(6)]
    decoding = Decoding(max_new_tokens=30)
    plain = load(path, params).generate(asks, decoding, silent)
    assert load(strict, params).generate(asks, decoding, silent) == plain


@pytest.mark.parametrize("family", ["neox", "llama"])
def test_plans_and_shards_change_nothing_but_rounding(family, request):
    path, params = request.getfixturevalue(family)
    asks = [
        GenerateRequest(f"g{i}", "Human: go " * (i % 4 + 1), i, True, Marks()) for i in range(12)
    ]
    decoding = Decoding(max_new_tokens=12)
    reference = load(path, params)
    scores = reference.score(REQUESTS, silent)
    texts = reference.generate(asks, decoding, silent)
    for budget in (40, 200, 5000):
        engine = load(path, params, batch_tokens=budget)
        for shards in (1, 3):
            found = {}
            for shard in range(shards):
                part = REQUESTS[shard::shards]
                found |= dict(zip([r.key for r in part], engine.score(part, silent), strict=True))
                part = asks[shard::shards]
                new = engine.generate(part, decoding, silent)
                found |= dict(zip([r.key for r in part], new, strict=True))
            for one, two in zip(REQUESTS, scores, strict=True):
                assert np.exp(found[one.key].logprobs) == pytest.approx(
                    np.exp(two.logprobs), abs=1e-5
                )
            assert [found[ask.key] for ask in asks] == texts


class Small:
    """A forward, or step of a sampler, with room for a few rows only."""

    def __init__(self, real, rows):
        self.real, self.rows, self.refused = real, rows, 0

    def __call__(self, batch, *more):
        if len(getattr(batch, "rows", batch)) > self.rows:
            self.refused += 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB.")
        return self.real(batch, *more)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(neox, caplog, monkeypatch):
    engine = load(*neox, batch_tokens=100_000)
    asks = [GenerateRequest(f"g{i}", "Human: go " * (i + 1), i, True, Marks()) for i in range(9)]
    decoding = Decoding(max_new_tokens=8)
    scores, texts = engine.score(REQUESTS, silent), engine.generate(asks, decoding, silent)
    read, step = Small(engine._forward.read, 3), Small(engine._sampler._step, 2)
    monkeypatch.setattr(engine._forward, "read", read)
    monkeypatch.setattr(engine._sampler, "_step", step)
    seen = []
    for one, two in zip(engine.score(REQUESTS, silent), scores, strict=True):
        assert one.logprobs == pytest.approx(two.logprobs, abs=2e-5)
    assert engine.generate(asks, decoding, seen.append) == texts
    assert sum(len(found) for found in seen) == len(asks)
    assert read.refused
    assert step.refused
    assert "going on with half as many" in caplog.text
    read.rows = step.rows = 0
    with pytest.raises(ScrupleError, match="does not fit into memory"):
        engine.score(REQUESTS, silent)
    with pytest.raises(ScrupleError, match="does not fit into memory"):
        engine.generate(asks, decoding, silent)
    monkeypatch.setattr(engine._forward, "read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.score(REQUESTS, silent)
