"""Weights, tokens, logits and settings that do not fit are refused by name."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_engine import REQUESTS, changed, load, silent
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from scruple.engines import GenerateRequest, ScoreRequest
from scruple.engines.forward import Logits
from scruple.engines.sampling import draw_tokens
from scruple.engines.tokens import encode
from scruple.engines.weights import surplus_of
from scruple.errors import ScrupleError
from scruple.prompts.marks import Marks
from scruple.study.settings import Decoding


@pytest.fixture(scope="module")
def neox(make_checkpoint):
    return make_checkpoint("fit", 32, 2)


def with_config(path, target, **values):
    shutil.copytree(path, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | values))
    return target


def test_more_layers_in_the_weights_than_in_the_config(neox, tmp_path):
    path, params = neox
    short = with_config(path, tmp_path / "short", num_hidden_layers=1)
    with pytest.raises(ScrupleError, match=r"tiny: .* has 12 weights .*\(first: gpt_neox\.layers\.1\."
                       r".*correct config\.json"):  # fmt: skip
        load(short, params)


def test_biases_that_the_config_turns_off(tokenizer, tmp_path):
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, attention_bias=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path / "biased")
    tokenizer.save_pretrained(tmp_path / "biased")
    params = sum(weight.numel() for weight in model.parameters())
    load(tmp_path / "biased", params)
    bare = with_config(tmp_path / "biased", tmp_path / "bare", attention_bias=False)
    with pytest.raises(ScrupleError, match=r"first: model\.layers\.0\.self_attn\.k_proj\.bias"):
        load(bare, params)


def test_what_old_versions_saved_beside_the_weights_is_passed_over(neox, tmp_path):
    path, params = neox

    def age(tensors):
        for layer in range(2):
            name = f"gpt_neox.layers.{layer}.attention"
            tensors[f"{name}.bias"] = torch.ones((1, 1, 64, 64), dtype=torch.bool).tril()
            tensors[f"{name}.masked_bias"] = torch.tensor(-1e9)
            tensors[f"{name}.rotary_emb.inv_freq"] = torch.ones(4)

    old = changed(path, tmp_path / "old", age)
    one, two = (load(each, params).score(REQUESTS[:2], silent) for each in (path, old))
    assert one == two


def test_a_vocabulary_of_another_size_than_the_weights(neox, tmp_path):
    path, params = neox
    folder = tmp_path / "larger"
    shutil.copytree(path, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] += 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ScrupleError, match=r"lacks \d+ weights that its config.json asks.*embed"):
        load(folder, params)


def test_which_weights_no_model_needs():
    harmless = [
        "h.0.attn.bias", "transformer.h.11.attn.masked_bias", "h.3.attn.attention.bias",
        "model.layers.0.self_attn.rotary_emb.inv_freq", "transformer.h.0.attn.causal_mask",
        "model.layers.1.self_attn.rotary_emb.cos_cached", "embeddings.position_ids",
        "model.decoder.version", "v_head.summary.weight", "mtp.layers.0.norm.weight",
    ]  # fmt: skip
    assert surplus_of(harmless, set(), tied=False) == []
    towers = ["vision_tower.layers.0.q_proj.weight", "model.visual.blocks.3.norm.bias",
              "model.audio_tower.conv1.weight", "multi_modal_projector.linear_1.weight"]  # fmt: skip
    assert surplus_of(towers, {"model_type", "text_config", "vision_config"}, tied=False) == []
    assert len(surplus_of(towers, {"model_type"}, tied=False)) == 4
    layers = [f"model.layers.{n}.self_attn.q_proj.bias" for n in (12, 3)]
    assert surplus_of(layers, {"vision_config"}, tied=False) == layers[::-1]
    assert surplus_of(["lm_head.weight"], set(), tied=True) == []
    assert surplus_of(["lm_head.weight"], set(), tied=False) == ["lm_head.weight"]
    for name in ("lm_head.bias", "model.layers.2.mlp.gate_proj.qweight", "score.weight",
                 "h.0.attn.c_proj.bias"):  # fmt: skip
        assert surplus_of([name], {"vision_config"}, tied=True) == [name]


def test_tokens_that_the_model_does_not_know(neox, tmp_path):
    path, params = neox
    grown = tmp_path / "grown"
    shutil.copytree(path, grown)
    tokenizer = AutoTokenizer.from_pretrained(path)
    words = len(tokenizer)
    tokenizer.add_tokens(["QUIXOTIC"])
    tokenizer.save_pretrained(grown)
    engine = load(grown, params)
    engine.score(REQUESTS[:1], silent)
    said = rf"s: .*'QUIXOTIC' \(number {words}\), and the model knows only {words} tokens .*leave"
    for prompt, forms in (("So QUIXOTIC it is", (" a", " b")), ("So it is", (" a", "QUIXOTIC"))):
        asked = ScoreRequest("s", prompt, forms, ("a", "b"), True)
        with pytest.raises(ScrupleError, match=said):
            engine.score([*REQUESTS[:2], asked], silent)
        encode(tokenizer, [asked], words + 1)
    with pytest.raises(ScrupleError, match=said):
        engine.generate([GenerateRequest("s", "QUIXOTIC", 1, True, Marks())], Decoding(), silent)


def test_logits_that_are_no_numbers_in_one_prompt_only(neox, tmp_path):
    path, params = neox
    tokenizer = AutoTokenizer.from_pretrained(path)
    word = tokenizer("Z", add_special_tokens=False)["input_ids"][0]
    damaged = changed(path, tmp_path / "one", lambda tensors: tensors["gpt_neox.embed_in.weight"]
                      [word].fill_(float("nan")))  # fmt: skip
    engine = load(damaged, params)
    engine.score(REQUESTS[:2], silent)
    bad = ScoreRequest("z", "Why Z", (" a", " b"), ("a", "b"), True)
    with pytest.raises(ScrupleError, match=r"logits in float32 are not finite .*fetch it again"):
        engine.score([bad], silent)
    with pytest.raises(ScrupleError, match=r"logits in float32 are not finite .*fetch it again"):
        engine.generate([GenerateRequest("z", "Why Z", 1, True, Marks())], Decoding(), silent)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_logits_name_format_and_remedy(bad):
    values = torch.zeros((3, 5))
    values[1, 2] = bad
    tokens = torch.tensor([0, 1])
    assert Logits(values, torch.tensor([0, 2])).logprobs(tokens).isfinite().all()
    said = r"logits in float16 are not finite .*`compute.dtype` to bfloat16 or float32"
    with pytest.raises(ScrupleError, match=said):
        Logits(values, torch.tensor([0, 1]), torch.float16).logprobs(tokens)
    with pytest.raises(ScrupleError, match=said):
        draw_tokens(values, torch.full((3,), 0.5), Decoding(), torch.float16)
    with pytest.raises(ScrupleError, match=r"logits in bfloat16 .*`compute.dtype` to float32;"):
        draw_tokens(values.bfloat16(), torch.full((3,), 0.5), Decoding())
    ruled_out = torch.zeros((1, 5))
    ruled_out[0, 1:] = -math.inf
    assert draw_tokens(ruled_out, torch.tensor([0.99]), Decoding()) == [0]


def test_temperatures_are_large_enough_to_compute_with():
    for low in (0.0099, 1e-320, 0.0, -1.0):
        with pytest.raises(ValidationError, match=r"greater than or equal to 0\.01"):
            Decoding(temperature=low)
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(scale=1e4, size=(4, 300)))
    logits[:, 7] = logits.amax(dim=-1) + 0.02  # twice as far as the temperature
    points = torch.tensor(rng.random(4))
    lowest = Decoding(temperature=0.01)
    drawn = [draw_tokens(logits, torch.full((4,), u), lowest) for u in np.linspace(0, 0.999, 400)]
    # exact: the likeliest against the second, e² to 1
    share = np.mean([token == 7 for row in drawn for token in row])
    assert share == pytest.approx(1 / (1 + math.exp(-2)), abs=0.01)
    assert draw_tokens(logits.float() * 1e30, points, lowest) == [7] * 4
