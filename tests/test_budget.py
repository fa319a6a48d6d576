"""How many tokens run at once."""

from types import SimpleNamespace

import pytest
import torch
from test_packing import small
from transformers import Gemma4TextConfig, GPTNeoXConfig, GPTNeoXForCausalLM

from scruple.engines.budget import bytes_per_token, default_tokens, free_memory, tokens_at_once
from scruple.engines.transformers_engine import TransformersEngine
from scruple.study.settings import Compute


def pythia_12b():
    config = GPTNeoXConfig(
        hidden_size=5120, intermediate_size=20480, num_hidden_layers=36, num_attention_heads=40,
        vocab_size=50688,
    )  # fmt: skip
    with torch.device("meta"):
        return GPTNeoXForCausalLM(config).to(torch.bfloat16)


def test_a_token_takes_its_keys_and_values_or_its_activations():
    assert bytes_per_token(pythia_12b()) == 2 * 36 * 5120 * 2  # keys and values, two bytes each
    assert bytes_per_token(small("llama")) == 12 * 32 * 4  # two layers of few heads are less


def test_sizes_that_differ_between_layers_count_as_the_largest():
    config = Gemma4TextConfig(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, global_head_dim=16, layer_types=["sliding_attention", "full_attention"] * 2,
    )  # fmt: skip
    model = SimpleNamespace(config=config, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="per-layer"):
        _ = config.head_dim
    assert bytes_per_token(model) == 2 * 4 * 2 * 16 * 4


def test_the_default_is_planned_from_the_checkpoint_alone():
    large = pythia_12b()
    weights = sum(parameter.numel() for parameter in large.parameters()) * 2
    planned = default_tokens(large)
    assert planned == int(weights / 2 / bytes_per_token(large))
    assert 16_000 < planned < 17_000
    assert default_tokens(small("gpt_neox")) == 8192


def test_free_memory_decides_only_how_much_runs_at_once():
    model = pythia_12b()
    assert tokens_at_once(model, None, None) == default_tokens(model)
    assert tokens_at_once(model, 500, None) == 500
    assert tokens_at_once(model, None, 2 * 3000 * bytes_per_token(model)) == 3000
    assert tokens_at_once(model, 500, 2 * 3000 * bytes_per_token(model)) == 500
    assert tokens_at_once(model, None, 10**15) == 131_072
    assert tokens_at_once(model, None, 0) == 1
    assert free_memory(small("llama")) is None


def test_with_much_free_memory_several_packs_run_at_once(monkeypatch, tokenizer):
    name = "scruple.engines.transformers_engine.free_memory"
    rows = [(k, *range(1, 60)) for k in range(59)]
    batches = {}
    for free in (None, 10**6, 10**12):
        monkeypatch.setattr(name, lambda _, free=free: free)
        engine = TransformersEngine(small("llama"), SimpleNamespace(
            pad_token_id=0, eos_token_id=0
        ), batch_tokens=600 if free is None else None)  # fmt: skip
        batches[free] = list(engine._forward.batches(rows))
    assert len(batches[None]) > 1
    assert len(batches[10**12]) < len(batches[10**6])
    assert sorted(row for batch in batches[10**12] for row in batch) == sorted(rows)


def test_the_config_takes_a_number_or_auto():
    assert Compute().batch_tokens == "auto"
    assert Compute(batch_tokens=77).batch_tokens == 77
