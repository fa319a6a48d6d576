"""The vLLM engine: refused with a message where it is not installed, compared where it is."""

import importlib.util

import numpy as np
import pytest
import torch
import yaml
from cells import tokenizer_of
from conftest import ROOT
from scripted import save_scripted
from test_engine import REQUESTS, load, silent
from transformers import LlamaConfig, LlamaForCausalLM

from scruple.engines import GenerateRequest
from scruple.errors import ScrupleError
from scruple.prompts.marks import Marks
from scruple.study.model import load_study
from scruple.study.settings import Decoding
from scruple.workflow.graph import Plan
from scruple.workflow.preflight import preflight

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
HERE = importlib.util.find_spec("vllm") is not None


def test_gguf_files_are_refused_before_anything_runs():
    overlay = ROOT / "studies" / "smollm2.yaml"
    config = {**CONFIG, **yaml.safe_load(overlay.read_text())}
    config["compute"] = {"engine": "vllm"}
    with pytest.raises(ScrupleError, match=r"`smollm2-135m-instruct` .* is a GGUF file"):
        Plan(config, [overlay])


def test_where_it_is_not_installed_the_run_does_not_start(monkeypatch):
    study = load_study({**CONFIG, "compute": {"engine": "vllm"}})
    monkeypatch.setattr("scruple.workflow.preflight.find_spec", lambda _: None)
    for rule in ("respond", "respond_pythia_bbq_0_0"):
        with pytest.raises(ScrupleError, match=r"not installed.*pip install -e '\.\[vllm\]'"):
            preflight(study, {rule}, ())
    preflight(study, {"collect_metrics"}, ())
    preflight(study, {"respond"}, {"conda"})
    preflight(load_study(CONFIG), {"respond"}, ())


def test_its_environment_is_chosen_with_it():
    assert Plan(CONFIG).environment() == "scruple"
    assert Plan({**CONFIG, "compute": {"engine": "vllm"}}).environment() == "vllm"
    assert (ROOT / "envs" / "vllm.yaml").is_file()


@pytest.mark.skipif(not HERE, reason="vllm is not installed: see bench/README.md")
def test_it_answers_what_the_reference_engine_answers(tokenizer, tmp_path):
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=512, initializer_range=0.1,
        bos_token_id=0, eos_token_id=0,
    ))  # fmt: skip
    path, params = tmp_path / "model", sum(p.numel() for p in model.parameters())
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    reference = load(path, params)
    engine = load(path, params, engine="vllm")
    seen = []
    found = engine.score(REQUESTS, seen.append)
    for one, two in zip(found, reference.score(REQUESTS, silent), strict=True):
        assert np.exp(one.logprobs) == pytest.approx(np.exp(two.logprobs), abs=1e-4)
        assert one.tokens == two.tokens
        assert one.prompt_tokens == two.prompt_tokens
        assert one.valid_mass == pytest.approx(two.valid_mass, abs=1e-4)
    assert sorted(i for each in seen for i in each) == list(range(len(REQUESTS)))
    asks = [GenerateRequest(f"g{i}", "Human: go " * (i + 1), i, True, Marks()) for i in range(6)]
    decoding = Decoding(max_new_tokens=12)
    texts = engine.generate(asks, decoding, silent)
    assert engine.generate(asks[::-1], decoding, silent)[::-1] == texts
    assert all(0 < text.tokens <= 12 for text in texts)
    assert len({text.text for text in texts}) > 1
    facts = engine.describe()
    assert facts["engine"].startswith("vllm ")
    assert (facts["dtype"], facts["params"]) == ("float32", params)


@pytest.mark.skipif(not HERE, reason="vllm is not installed: see bench/README.md")
@pytest.mark.parametrize("kind", ["byte level", "sentencepiece"])
def test_it_ends_turns_where_the_reference_engine_does(tmp_path, kind):
    """By a mark that is a token, by one that is spelled out, by a line; and keeps a first blank."""
    tokenizer = tokenizer_of(kind)
    said = tokenizer("x: What of the man<|im_end|>", add_special_tokens=False)["input_ids"]
    said = said[len(tokenizer("x", add_special_tokens=False)["input_ids"]) :]
    params = save_scripted(tmp_path / "model", tokenizer, said, tokenizer.eos_token_id)
    every = (Marks(), Marks(("<|im_end|>",)), Marks((), ("<|im_end|>",)), Marks(("the man",)),
             Marks((), (" of",)))  # fmt: skip
    asks = [GenerateRequest(f"g{i}", "x:", i, True, marks) for i, marks in enumerate(every)]
    decoding = Decoding(max_new_tokens=20)
    reference, engine = (load(tmp_path / "model", params, engine=name)
                         for name in ("transformers", "vllm"))  # fmt: skip
    found = engine.generate(asks, decoding, silent)
    assert found == reference.generate(asks, decoding, silent)
    whole = " What of the man"
    assert [(one.text, one.ended) for one in found] == [
        (whole + "<|im_end|>", "end"), (whole, "end"), (whole, "turn"), (" What of", "end"), (" What", "turn")
    ]  # fmt: skip
