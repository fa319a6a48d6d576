"""Packed prefix trees: the trees themselves, and their answers against plain batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
)

from scruple.engines.choose import choose_forward
from scruple.engines.continuation import Ending
from scruple.engines.generation import Sampler
from scruple.engines.packed import Packed
from scruple.engines.plain import Plain
from scruple.engines.prefix_tree import join_packs, make_pack, plan_packs
from scruple.study.settings import Decoding

ROWS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=12).map(tuple), min_size=1, unique=True
)
V = 60
GEMMA3 = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "head_dim": 16,
          "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 6,
          "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
          "initializer_range": 0.3}  # fmt: skip
SMALL = {
    "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                 "num_attention_heads": 2},
    "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2},
    "qwen2": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2},
    "olmo2": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128},
    "opt": {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "max_position_embeddings": 128, "word_embed_proj_dim": 32},
    "mistral": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 6},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "gemma3_text": GEMMA3,
    "gemma3": {  # with a vision tower, which reads no text
        "text_config": GEMMA3 | {"vocab_size": V, "pad_token_id": 0},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 16,
                          "intermediate_size": 24, "num_hidden_layers": 1,
                          "num_attention_heads": 2, "image_size": 8, "patch_size": 2},
        "image_token_index": V - 1, "boi_token_index": V - 2, "eoi_token_index": V - 3,
        "mm_tokens_per_image": 4},
}  # fmt: skip


def small(kind):
    torch.manual_seed(3)
    common = {"vocab_size": V, "initializer_range": 0.3, "init_std": 0.3, "pad_token_id": 0,
              "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
    config = AutoConfig.for_model(kind, **common | SMALL[kind])
    return AutoModelForCausalLM.from_config(config).eval()


@given(ROWS, st.integers(1, 40))
@settings(deadline=None)
def test_packs_hold_every_sequence_once_and_every_token_once(rows, budget):
    packs = list(plan_packs(rows, budget))
    assert sorted(row for pack in packs for row in pack) == sorted(rows)
    assert list(plan_packs(rows[::-1], budget)) == packs
    for rows_of_pack in packs:
        pack = make_pack(rows_of_pack)
        prefixes = {row[:n] for row in rows_of_pack for n in range(1, len(row) + 1)}
        assert len(pack.tokens) == len(prefixes)
        assert len(prefixes) <= budget or len(rows_of_pack) == 1
        for row, path in zip(rows_of_pack, pack.paths, strict=True):
            assert tuple(pack.tokens[path]) == row
            assert list(pack.depths[path]) == list(range(len(row)))
            for place, node in enumerate(path):
                assert seen(pack, node) == set(path[: place + 1])


def seen(pack, node):
    (span,) = (span for span in pack.spans if span.start <= node < span.stop)
    return set(span.keys[span.visible[node - span.start]])


def test_a_long_pack_has_many_spans_and_joined_packs_see_nothing_of_each_other():
    rng = np.random.default_rng(0)
    trunk = tuple(rng.integers(9, size=300))
    rows = sorted(
        {trunk[: int(n)] + tuple(rng.integers(9, size=50)) for n in rng.integers(300, size=20)}
    )
    packs = [make_pack(pack) for pack in plan_packs(rows, 700)]
    assert len(packs) > 1
    joined = join_packs(packs)
    assert [span.start for span in joined.spans][1:] == [span.stop for span in joined.spans][:-1]
    assert joined.spans[-1].stop == len(joined.tokens) == sum(len(pack.tokens) for pack in packs)
    for row, path in zip(rows, joined.paths, strict=True):
        assert tuple(joined.tokens[path]) == row
        for place in range(0, len(row), 7):
            assert seen(joined, path[place]) == set(path[: place + 1])


CASES = {
    "one continues another": [(5, 6, 7), (5, 6, 7, 8, 9), (5, 6)],
    "a single token": [(5,), (6,)],
    "longer than a pack": [tuple(range(1, 41)), (*range(1, 39), 3)],
    "nothing shared": [(1, 2, 3), (4, 5), (6, 7, 8, 9)],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["gpt_neox", "llama", "qwen2", "olmo2", "gpt2", "opt"])
def test_packed_gives_what_plain_gives(kind, case):
    model = small(kind)
    plain = Plain(small(kind), 1000)
    for at_once in (1, 3):
        packed = Packed(model, 16, at_once)
        for batch in packed.batches(CASES[case]):
            places = [(i, k) for i, row in enumerate(batch) for k in range(len(row))]
            one, two = (
                torch.log_softmax(logits.values[logits.index], dim=-1)
                for logits in (packed.read(batch, places), plain.read(batch, places))
            )
            tokens = torch.arange(len(places)) % V
            picked = packed.read(batch, places).logprobs(tokens)
            assert torch.allclose(picked.float(), one[torch.arange(len(places)), tokens], atol=1e-5)
            assert float((one - two).abs().max()) < 2e-4


@pytest.mark.parametrize("kind", SMALL)
def test_the_way_is_chosen_by_what_agrees(kind, caplog):
    caplog.set_level("INFO")
    forward = choose_forward(small(kind), 4096)
    if kind == "bloom":  # no positions can be given
        assert isinstance(forward, Plain)
        assert "plain batches" in caplog.text
    else:
        assert isinstance(forward, Packed), caplog.text


def naive(model, prompt, seed, n, decoding):
    """Sample token by token, the whole text anew each time, without cache or batch."""
    points, text = np.random.default_rng(seed).random(n), list(prompt)
    for point in points:
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[0, -1].double() / decoding.temperature
        cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        text.append(int((cumulative <= point * cumulative[-1]).sum()))
        if text[-1] == 0:
            break
    return text[len(prompt) :]


@pytest.mark.parametrize("budget", [1, 60, 100_000])
@pytest.mark.parametrize("kind", SMALL)
def test_continuations_are_those_of_one_at_a_time(kind, budget):
    model = small(kind)
    rng = np.random.default_rng(1)
    trunk = tuple(int(t) for t in rng.integers(1, V, size=9))
    prompts = [trunk[: int(rng.integers(1, 9))] + tuple(int(t) for t in rng.integers(1, V, size=k % 4))
               for k in range(14)]  # fmt: skip
    prompts += [prompts[0]] * 3
    decoding = Decoding(max_new_tokens=9, temperature=1.4)
    found = {}
    calls = []

    def keep(new):
        calls.append(len(new))
        assert not found.keys() & new.keys()
        found.update(new)

    sampler = Sampler(model, choose_forward(model, 64), None, budget)
    endings = [Ending({0: "end"}, {})] * len(prompts)
    n = len(prompts)
    rows = sampler.most(prompts, decoding)
    sampler.run(range(n), prompts, range(100, 100 + n), endings, decoding, rows, keep)
    for number, prompt in enumerate(prompts):
        assert found[number] == naive(model, prompt, 100 + number, 9, decoding)
    assert len({tuple(tokens) for tokens in found.values()}) > 10
    assert min(map(len, found.values())) < 9  # some end early and make room
    assert len(calls) > 1
