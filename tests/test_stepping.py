"""Models that keep other things than keys and values, and models that cannot be read."""

import numpy as np
import pytest
import torch
from test_packing import naive, small
from transformers import AutoConfig, AutoModelForCausalLM

from scruple.checkpoints.manifest import Location, Manifest
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.engines import GenerateRequest, ScoreRequest, load_engine
from scruple.engines.budget import bytes_per_token, default_tokens
from scruple.engines.cached import Cached
from scruple.engines.choose import choose_forward, choose_steps
from scruple.engines.continuation import Ending
from scruple.engines.generation import Sampler
from scruple.engines.plain import Plain
from scruple.engines.rereading import Rereading
from scruple.errors import ScrupleError
from scruple.prompts.marks import Marks
from scruple.study.settings import Compute, Decoding

V = 60
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
KINDS = {
    "mamba": {"state_size": 4, "num_hidden_layers": 2},
    "mamba2": {"state_size": 4, "num_hidden_layers": 2, "num_heads": 8, "head_dim": 8,
               "n_groups": 1, "chunk_size": 4},
    "falcon_mamba": {"state_size": 4, "num_hidden_layers": 2},
    "rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 32, "context_length": 64},
    "recurrent_gemma": {**HEADS, "num_hidden_layers": 3, "lru_width": 32, "head_dim": 8,
                        "attention_window_size": 8},
    "lfm2": {**HEADS, "num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]},
    "qwen3_next": {**HEADS, "num_hidden_layers": 2, "head_dim": 8, "linear_num_key_heads": 2,
                   "linear_num_value_heads": 4, "linear_key_head_dim": 8, "num_experts": 2,
                   "linear_value_head_dim": 8, "num_experts_per_tok": 1,
                   "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
                   "layer_types": ["linear_attention", "full_attention"]},
    "jamba": {**HEADS, "num_hidden_layers": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
              "expert_layer_period": 2, "num_experts": 2, "mamba_d_state": 4, "mamba_dt_rank": 2,
              "use_mamba_kernels": False},
}  # fmt: skip


def tiny(kind, words=V, **more):
    torch.manual_seed(4)
    config = AutoConfig.for_model(
        kind, vocab_size=words, hidden_size=32, initializer_range=0.3, pad_token_id=0,
        bos_token_id=0, eos_token_id=0, **KINDS.get(kind, {}), **more,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # some of them start as copies of their input
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_what_keeps_no_keys_and_values_is_read_in_batches_and_continued_by_reading(kind, caplog):
    model = tiny(kind)
    rng = np.random.default_rng(1)
    trunk = tuple(int(t) for t in rng.integers(1, V, size=9))
    rows = sorted({trunk[:n] + tuple(int(t) for t in rng.integers(1, V, size=n % 4 + 1))
                   for n in (0, 2, 3, 5, 8, 9)})  # fmt: skip
    forward = choose_forward(model, 4096)
    assert isinstance(forward, Plain)
    for batch in forward.batches(rows):
        assert len(batch) > 1  # padded
        places = [(i, k) for i, row in enumerate(batch) for k in range(len(row))]
        picked = forward.read(batch, places).logprobs(torch.arange(len(places)) % V)
        with torch.no_grad():
            expected = [model(torch.tensor([row])).logits[0].log_softmax(-1) for row in batch]
        expected = torch.cat(expected)[torch.arange(len(places)), torch.arange(len(places)) % V]
        assert float((picked - expected).abs().max()) < 1e-4
    decoding = Decoding(max_new_tokens=5, temperature=1.3)
    sampler, found = Sampler(model, forward, None, 40), {}
    n = len(rows)
    sampler.run(range(n), rows, range(n), [Ending({0: "end"}, {})] * n, decoding, 3, found.update)
    assert isinstance(sampler._steps, Rereading)
    assert "keeps other things than keys and values" in caplog.text
    for number, prompt in enumerate(rows):
        assert found[number] == naive(model, prompt, number, 5, decoding)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt", "bloom", "mistral"])
def test_keys_and_values_are_used_where_there_are_some(kind, caplog):
    model = small(kind)
    assert isinstance(choose_steps(model, choose_forward(model, 4096)), Cached)
    assert not caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_that_continues_wrongly_is_not_used(dtype, caplog):
    model = small("llama").to(dtype)
    assert isinstance(choose_steps(model, choose_forward(model, 4096)), Cached)
    assert not caplog.text
    real = model.forward

    def forward(input_ids, attention_mask=None, past_key_values=None, use_cache=None,
                position_ids=None, logits_to_keep=0, **more):  # fmt: skip
        if position_ids is not None and input_ids.shape[1] == 1:
            position_ids = position_ids + 1
        return real(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache,
                    past_key_values=past_key_values, position_ids=position_ids,
                    logits_to_keep=logits_to_keep, **more)  # fmt: skip

    model.forward = forward
    assert isinstance(choose_steps(model, choose_forward(model, 4096)), Rereading)
    assert "log p differs by" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_that_changes_what_is_read_is_not_used(dtype, caplog):
    model = small("llama").to(dtype)
    real = model.forward

    def forward(input_ids, attention_mask=None, use_cache=None):
        shift = 0 if attention_mask is None else (attention_mask == 0).sum()
        return real(input_ids=(input_ids + shift) % V, use_cache=use_cache)

    model.forward = forward
    chosen = choose_forward(model, 4096)
    assert chosen.name == "one text at a time"
    assert "padding changes what is read" in caplog.text
    assert [len(batch) for batch in chosen.batches([(1,), (2, 3), (4, 5)])] == [1, 1, 1]
    found = chosen.read([(2, 3)], [(0, 1)]).logprobs(torch.tensor([7]))
    with torch.no_grad():
        expected = real(torch.tensor([[2, 3]])).logits[0, 1].float().log_softmax(-1)[7]
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def saved(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    params = sum(weight.numel() for weight in model.parameters())
    return Manifest(checkpoint="tiny", params=params, origin="", folder=str(folder), files={})


def engine_of(manifest, **compute):
    return load_engine(manifest, Compute(device="cpu", dtype="float32", **compute), threads=1)


def test_a_recurrent_checkpoint_scores_and_samples(tokenizer, tmp_path):
    model = tiny("mamba", words=len(tokenizer))
    engine = engine_of(saved(model, tokenizer, tmp_path))
    ask = ScoreRequest("r", "The answer is", (" yes", " not at all"), ("a", "b"), True)
    scores = engine.score([ask], lambda _: None)[0]
    for form, found in zip(ask.candidates, scores.logprobs, strict=True):
        start = tokenizer(ask.prompt)["input_ids"]
        ids = tokenizer(ask.prompt + form)["input_ids"]
        with torch.no_grad():
            table = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(table[i - 1, ids[i]]) for i in range(len(start), len(ids)))
        assert found == pytest.approx(expected, abs=1e-4)
    asks = [GenerateRequest("g", "Why " * n, n, True, Marks()) for n in (1, 2, 5)]
    decoding = Decoding(max_new_tokens=6)
    texts = engine.generate(asks, decoding, lambda _: None)
    alone = engine_of(saved(model, tokenizer, tmp_path), batch_tokens=1)
    assert alone.generate(asks, decoding, lambda _: None) == texts


def test_a_recurrent_layer_has_a_budget():
    assert bytes_per_token(tiny("mamba")) == 3 * 4 * 4 * 64  # states of 64 inner channels
    assert bytes_per_token(tiny("rwkv")) == 12 * 32 * 4
    assert default_tokens(tiny("mamba")) == 8192
    wide = tiny("mamba2")
    wide.config.chunk_size = 256
    assert bytes_per_token(wide) == 3 * 4 * 8 * (256 + 4)  # scores of a chunk, for eight heads


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_reads_backwards_is_refused_by_name(dtype):
    model = tiny("bert", num_hidden_layers=1, num_attention_heads=2).to(dtype)
    with pytest.raises(
        ScrupleError, match=r"the architecture BertLMHeadModel \(`model_type: bert`\) is not a "
        "causal language model"
    ):  # fmt: skip
        choose_forward(model, 4096)


def test_what_cannot_be_read_is_refused_by_name():
    model = small("llama")

    def forward(input_ids, pixels):
        return None

    model.forward = forward
    with pytest.raises(ScrupleError, match=r"LlamaForCausalLM .*cannot be read .*pixels.*leave"):
        choose_forward(model, 4096)


@pytest.mark.parametrize("kind", ["t5", "whisper", "bart", "vit", "albert", "bert", "roberta"])
def test_what_is_no_causal_language_model_is_refused_before_its_weights(kind, tokenizer, tmp_path):
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ScrupleError, match=rf"odd: .*`model_type: {kind}`.*leave it out"):
        load_tokenizer(Location("odd", str(tmp_path)))


def test_a_decoder_of_a_type_that_can_be_either_is_no_encoder(tokenizer, tmp_path):
    for kind, options in (("bert", {"is_decoder": True}), ("llama", {"is_decoder": False}),
                          ("gpt_neox", {})):  # fmt: skip
        folder = tmp_path / kind
        AutoConfig.for_model(kind, **options).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        assert load_tokenizer(Location("fine", str(folder))).window
