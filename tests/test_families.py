"""The family files: sizes that their shapes make, and names that are theirs alone."""

import json

import pytest
import torch
import yaml
from conftest import ROOT
from transformers import AutoConfig, AutoModelForCausalLM

from scruple.study.architecture import Shape, read_shape
from scruple.study.families import Family

FOLDER = ROOT / "data" / "families"
FILES = sorted(FOLDER.glob("*.yaml"))
KINDS = {"neox": "gpt_neox", "llama": "llama", "qwen2": "qwen2", "olmo2": "olmo2", "bloom": "bloom",
         "gemma3": "gemma3_text"}  # fmt: skip
SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
    "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896, "patch_size": 14,
    "vision_use_head": False,
}  # fmt: skip
"""The vision tower of Gemma 3."""


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


def config_of(shape):
    """Return transformers' config of a shape."""
    names = {"vocab_size": shape.vocab, "tie_word_embeddings": shape.tied}
    if shape.kind == "bloom":
        names |= {"hidden_size": shape.width, "n_layer": shape.layers, "n_head": shape.heads}
    else:
        names |= {
            "hidden_size": shape.width, "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads, "intermediate_size": shape.mlp or 4 * shape.width,
        }  # fmt: skip
        if shape.kind != "neox":
            names["num_key_value_heads"] = shape.kv_heads or shape.heads
        if shape.head_width:
            names["head_dim"] = shape.head_width
    if shape.extra:
        return AutoConfig.for_model("gemma3", text_config=names, vision_config=SIGLIP)
    return AutoConfig.for_model(KINDS[shape.kind], **names)


def built(config):
    """Return transformers' model of a config, without any memory for its weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def numbers(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("tied", [True, False])
def test_sizes_are_those_that_transformers_builds(kind, tied):
    more = {} if kind in ("neox", "bloom") else {"kv_heads": 2, "mlp": 96}
    if kind == "gemma3":
        more["head_width"] = 24
    shape = Shape(kind=kind, layers=3, width=64, heads=8, vocab=500, tied=tied, **more)
    model = built(config_of(shape))
    assert numbers(model) == shape.params()
    embedding = model.get_input_embeddings().weight.numel() * (1 if tied else 2)
    assert shape.embedding() == embedding
    assert shape.body() == shape.params() - embedding


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_checkpoint_has_the_size_that_transformers_builds(path):
    family = Family.model_validate(yaml.safe_load(path.read_text()))
    for shape, params in {(one.shape, one.params) for one in family.checkpoints if one.shape}:
        model = built(config_of(shape))
        assert numbers(model) == params, (path.stem, params)
        if shape.extra:
            decoder = numbers(model.model.language_model)
            assert decoder == shape.body() + shape.embedding()


SPARSE = {
    "4b": {"num_hidden_layers": 34, "hidden_size": 2560, "intermediate_size": 10240},
    "12b": {"num_hidden_layers": 48, "hidden_size": 3840, "intermediate_size": 15360,
            "num_attention_heads": 16, "num_key_value_heads": 8},
    "27b": {"num_hidden_layers": 62, "hidden_size": 5376, "intermediate_size": 21504,
            "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128},
}  # fmt: skip
"""What the published config.json files of Gemma 3 say of the decoder; the rest are defaults."""


@pytest.mark.parametrize("size", SPARSE)
def test_a_published_config_says_little_and_is_understood(size, tmp_path):
    content = {
        "model_type": "gemma3", "image_token_index": 262144, "vision_config": SIGLIP,
        "text_config": {"model_type": "gemma3_text", "sliding_window": 1024, **SPARSE[size]},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(content))
    family = Family.model_validate(yaml.safe_load((FOLDER / "gemma3.yaml").read_text()))
    known = next(one for one in family.checkpoints if one.name == f"gemma3-{size}-pt")
    assert read_shape(tmp_path / "config.json", known.params) == known.shape
    config = AutoConfig.from_pretrained(tmp_path)
    assert numbers(built(config)) == known.params
    assert config.get_text_config().max_position_embeddings == 131_072


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_saved_config_gives_the_shape_back(path, tmp_path):
    family = Family.model_validate(yaml.safe_load(path.read_text()))
    for shape, params in {(one.shape, one.params) for one in family.checkpoints if one.shape}:
        config_of(shape).save_pretrained(tmp_path)
        found = read_shape(tmp_path / "config.json", params)
        assert found.params() == params
        assert found.cache_per_token() == shape.cache_per_token()
        assert (found.kind, found.tied, found.extra) == (shape.kind, shape.tied, shape.extra)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_a_config_leaves_out_is_what_transformers_assumes(kind, tmp_path):
    shape = Shape(kind=kind, layers=2, width=64, heads=8, vocab=500, mlp=256, kv_heads=8)
    path = tmp_path / "config.json"
    config_of(shape).save_pretrained(tmp_path)
    content = json.loads(path.read_text())
    del content["tie_word_embeddings"]
    if kind == "gemma3":  # all dimensions have defaults
        content = {"model_type": "gemma3_text"}
    path.write_text(json.dumps(content))
    expected = numbers(built(AutoConfig.from_pretrained(tmp_path)))
    assert read_shape(path, expected).params() == expected


@pytest.mark.parametrize(
    "content",
    [[], {}, {"text_config": None}, {"text_config": []}, {"text_config": {}},
     {"model_type": "gemma3", "text_config": {"hidden_size": "wide"}}, {"model_type": "llama"}],
    ids=str,
)  # fmt: skip
def test_a_config_without_dimensions_gives_no_shape(content, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert read_shape(tmp_path / "config.json", 10) is None


def test_the_published_sizes():
    """Total and non-embedding parameters of Pythia, Biderman et al. 2023, table 1."""
    pythia = Family.model_validate(yaml.safe_load((FOLDER / "pythia.yaml").read_text()))
    bodies = {c.name: c.shape.body() for c in pythia.checkpoints}
    assert bodies["pythia-70m"] == 18_915_328
    assert bodies["pythia-1.4b"] == 1_208_602_624
    assert bodies["pythia-12b"] == 11_327_027_200


def test_the_totals_that_others_publish():
    """Gemma 3: KerasHub's presets; Gemma 3 and Llama 3: safetensors totals on the hub."""
    published = {
        "gemma3-270m-it": 268_098_176, "gemma3-1b-it": 999_885_952, "gemma3-4b-it": 4_300_079_472,
        "gemma3-12b-it": 12_187_325_040, "gemma3-27b-it": 27_432_406_640,
        "llama3.2-1b": 1_235_814_400, "llama3.2-3b-instruct": 3_212_749_824,
        "llama3.1-8b": 8_030_261_248, "llama3.1-70b": 70_553_706_496,
        "llama3.1-405b": 405_853_388_800,
    }  # fmt: skip
    for name in ("gemma3", "llama3"):
        family = Family.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
        found = {one.name: one.shape.params() for one in family.checkpoints}
        known = found.keys() & published.keys()
        assert len(known) == 5
        assert {key: found[key] for key in known} == {key: published[key] for key in known}
