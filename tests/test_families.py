"""The family files: sizes that their shapes make, and names that are theirs alone."""

import pytest
import torch
import yaml
from conftest import ROOT
from transformers import AutoConfig, AutoModelForCausalLM

from scruple.study.architecture import Shape
from scruple.study.families import Family

FILES = sorted((ROOT / "data" / "families").glob("*.yaml"))
KINDS = {"neox": "gpt_neox", "llama": "llama", "qwen2": "qwen2", "olmo2": "olmo2", "bloom": "bloom"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_family_files_are_whole(path):
    family = Family.model_validate(yaml.safe_load(path.read_text()))
    assert family.name == path.stem
    for checkpoint in family.checkpoints:
        if checkpoint.hub is not None:
            assert family.licence
            assert checkpoint.shape is not None
            assert checkpoint.params == checkpoint.shape.params()
    origins = [(c.hub, c.revision, c.path) for c in family.checkpoints]
    assert len(set(origins)) == len(origins)


def built(kind, shape):
    """Return transformers' model of a shape, without any memory for its weights."""
    names = {"vocab_size": shape.vocab, "tie_word_embeddings": shape.tied}
    if kind == "bloom":
        names |= {"hidden_size": shape.width, "n_layer": shape.layers, "n_head": shape.heads}
    else:
        names |= {
            "hidden_size": shape.width, "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads, "intermediate_size": shape.mlp or 4 * shape.width,
        }  # fmt: skip
        if kind != "neox":
            names["num_key_value_heads"] = shape.kv_heads or shape.heads
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(KINDS[kind], **names))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("tied", [True, False])
def test_sizes_are_those_that_transformers_builds(kind, tied):
    more = {"kv_heads": 2, "mlp": 96} if kind in ("llama", "qwen2", "olmo2") else {}
    shape = Shape(kind=kind, layers=3, width=64, heads=8, vocab=500, tied=tied, **more)
    model = built(kind, shape)
    assert sum(p.numel() for p in model.parameters()) == shape.params()
    embedding = model.get_input_embeddings().weight.numel() * (1 if tied else 2)
    assert shape.embedding() == embedding
    assert shape.body() == shape.params() - embedding


def test_the_published_sizes():
    """Total and non-embedding parameters of Pythia, Biderman et al. 2023, table 1."""
    pythia = Family.model_validate(yaml.safe_load((FILES[0].parent / "pythia.yaml").read_text()))
    bodies = {c.name: c.shape.body() for c in pythia.checkpoints}
    assert bodies["pythia-70m"] == 18_915_328
    assert bodies["pythia-1.4b"] == 1_208_602_624
    assert bodies["pythia-12b"] == 11_327_027_200
