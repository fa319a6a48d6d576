"""Sliding windows in packed prefix trees, against one plain forward per text."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_packing import naive
from transformers import AutoConfig, AutoModelForCausalLM

from scruple.engines.cached import Cached
from scruple.engines.choose import choose_forward
from scruple.engines.continuation import Ending
from scruple.engines.generation import Sampler
from scruple.engines.packed import Packed
from scruple.engines.plain import Plain
from scruple.engines.prefix_tree import join_packs, make_pack, plan_packs
from scruple.engines.self_test import Failed
from scruple.engines.tree_attention import Sight
from scruple.engines.windows import windows_of
from scruple.study.settings import Decoding

V, WINDOW = 60, 8
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
          "sliding_window": WINDOW}  # fmt: skip
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
KINDS = {
    # scores are capped far enough below their size to matter
    "gemma2": {**MIXED, "query_pre_attn_scalar": 3, "attn_logit_softcapping": 2.0},
    "gemma3_text": MIXED,
    "mistral": {},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1},
    "gpt_oss": {**MIXED, "num_local_experts": 2, "num_experts_per_tok": 1},  # attention sinks
}


def tiny(kind, **more):
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        kind, vocab_size=V, initializer_range=0.3, pad_token_id=0, bos_token_id=0, eos_token_id=0,
        **{**LAYERS, **KINDS.get(kind, {}), **more},
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def texts():
    """Texts of 5 to 60 tokens that share beginnings shorter and longer than the window."""
    rng = np.random.default_rng(2)
    trunk = tuple(int(t) for t in rng.integers(1, V, size=55))
    rows = [trunk[:n] + tuple(int(t) for t in rng.integers(1, V, size=5))
            for n in (0, 3, 7, 8, 9, 20, 21, 40, 54, 55)]  # fmt: skip
    return sorted({*rows, trunk, trunk[:30]})


def alone(model, row):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([row])).logits[0], dim=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_trees_with_windows_give_what_texts_alone_give(kind):
    model, untouched = tiny(kind), tiny(kind)
    forward = choose_forward(model, 4096)
    assert isinstance(forward, Packed)
    rows = texts()
    wide, longest = tiny(kind, sliding_window=1000), max(rows, key=len)
    assert float((alone(wide, longest) - alone(untouched, longest)).abs().max()) > 0.01
    for way in (forward, Packed(model, 70, 2), Plain(tiny(kind), 300)):
        for batch in way.batches(rows):
            places = [(i, k) for i, row in enumerate(batch) for k in range(len(row))]
            logits = way.read(batch, places)
            found = torch.log_softmax(logits.values[logits.index], dim=-1)
            expected = torch.cat([alone(untouched, row) for row in batch])
            assert float((found - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_continuations_with_windows_are_those_of_one_at_a_time(kind):
    model, untouched = tiny(kind), tiny(kind)
    prompts = texts()
    decoding = Decoding(max_new_tokens=12, temperature=1.4)
    sampler = Sampler(model, choose_forward(model, 200), None, 400)
    assert isinstance(sampler._steps, Cached)
    found = {}
    rows, n = sampler.most(prompts, decoding), len(prompts)
    sampler.run(
        range(n), prompts, range(n), [Ending({0: "end"}, {})] * n, decoding, rows, found.update
    )
    for number, prompt in enumerate(prompts):
        assert found[number] == naive(untouched, prompt, number, 12, decoding)


def test_the_windows_of_layers_are_found_without_long_texts():
    assert windows_of(tiny("llama")) == set()
    assert windows_of(tiny("qwen2", use_sliding_window=False)) == set()
    assert windows_of(tiny("qwen2", max_window_layers=3)) == set()  # no layer is left for it
    for kind in KINDS:
        model = tiny(kind, sliding_window=4095)
        before = model.config._attn_implementation
        assert windows_of(model) == {4095}
        assert model.config._attn_implementation == before


@pytest.mark.parametrize("passed", [None, WINDOW - 1])
def test_a_window_that_is_not_that_of_the_mask_reads_no_trees(passed, caplog):
    caplog.set_level(logging.INFO)
    model = tiny("gemma3_text", sliding_window=4095)  # too long for a comparison of texts
    model.model.layers[2].self_attn.sliding_window = passed
    assert isinstance(choose_forward(model, 4096), Plain)
    assert f"passes on a window of {passed}, and its mask has one of 4095" in caplog.text


def test_layers_of_other_kinds_read_no_trees(caplog):
    caplog.set_level(logging.INFO)
    model = tiny("llama4_text", sliding_window=None, attention_chunk_size=WINDOW,
                 intermediate_size_mlp=64, num_local_experts=1,
                 layer_types=["chunked_attention", "full_attention", "chunked_attention"])  # fmt: skip
    assert isinstance(choose_forward(model, 4096), Plain)
    assert "layers of kind chunked_attention" in caplog.text
    encoder = tiny("gemma3_text")
    encoder.config.is_causal = False  # the masks themselves are looked at
    with pytest.raises(Failed, match="masks are of another kind"):
        windows_of(encoder)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14).map(tuple), min_size=1,
                unique=True), st.integers(1, 16))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_a_node_sees_its_last_ancestors(rows, window):
    pack = join_packs([make_pack(some) for some in plan_packs(rows, 9)])
    sight = Sight(pack)
    parts = sight.on(torch.device("cpu"), window)
    assert sight.on(torch.device("cpu"), window) is parts
    seen = {}
    for start, stop, keys, visible in parts:
        for node in range(start, stop):
            seen[node] = set(keys[visible[0, 0, node - start]].tolist())
        assert visible.any(dim=2).all()
        assert visible.any(dim=-2).all()  # no key that nobody sees
    for path in pack.paths:
        for place, node in enumerate(path):
            assert seen[node] == set(path[max(0, place - window + 1) : place + 1].tolist())
