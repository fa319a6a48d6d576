"""Tokenizers that come without tokenizer.json: read as their files say, or refused at once."""

import base64
import io
import json
import shutil

import pytest
from conftest import ITEMS
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import AutoConfig

from scruple.checkpoints import sentencepieces
from scruple.checkpoints.choice import describing_files, has_tokenizer, names_in, tokenizer_files
from scruple.checkpoints.location import Location
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.errors import ScrupleError
from scruple.study.families import Checkpoint

LINES = [line for path in sorted(ITEMS.glob("*/*.jsonl")) for line in path.read_text().splitlines()]


def trained(kind, **options):
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(LINES[:400]), model_writer=model, model_type=kind, vocab_size=400,
        minloglevel=2, **options,
    )  # fmt: skip
    return model.getvalue()


@pytest.fixture(scope="module")
def models():
    """Vocabularies of both kinds, as sentencepiece trains them."""
    return {
        "bpe": trained("bpe", byte_fallback=True),
        "unigram": trained("unigram"),
        "t5": trained("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    }


def described(folder, name, content, model_type="llama", **config):
    """Make a folder with a config and a tokenizer, and return where it is."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": 400}))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Location("checkpoint c", str(folder))


@pytest.mark.parametrize(
    ("kind", "name", "own"),
    [
        ("bpe", "tokenizer.model", "LlamaTokenizer"),
        ("t5", "spiece.model", "T5Tokenizer"),
        ("unigram", "sentencepiece.bpe.model", "XLMRobertaTokenizer"),
    ],
)
def test_a_sentencepiece_file_is_read_as_sentencepiece_reads_it(tmp_path, models, kind, name, own):
    loaded = load_tokenizer(described(tmp_path, name, models[kind], tokenizer_class=own))
    processor = SentencePieceProcessor(model_proto=models[kind])
    text = "The nurse and the doctor were late."
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = [processor.id_to_piece(i) for i in processor.encode(text)]
    assert loaded.tokenizer.convert_ids_to_tokens(ids) == pieces
    assert len(pieces) < len(text)
    assert loaded.vocabulary == 400


@pytest.mark.parametrize(
    ("kind", "name", "own", "said"),
    [
        ("bpe", "spiece.model", "T5Tokenizer", "spiece.model becomes a T5Tokenizer that differs"),
        # T5's classes take the third piece for what is unknown, here the end of the text
        ("unigram", "spiece.model", "T5Tokenizer", "becomes ▁.* </s>, and sentencepiece makes"),
        ("unigram", "tokenizer.model", "LlamaTokenizer", "becomes a LlamaTokenizer that differs"),
        ("bpe", "spiece.model", "LlamaTokenizer", "becomes a LlamaTokenizer without a vocabulary"),
    ],
)
def test_a_class_that_does_not_fit_the_file_is_refused(tmp_path, models, kind, name, own, said):
    place = described(tmp_path, name, models[kind], tokenizer_class=own, extra_ids=0)
    with pytest.raises(ScrupleError, match=rf"^checkpoint c: .*{said}.*`tokenizer_class`"):
        load_tokenizer(place)


def test_a_file_that_cannot_be_read_names_what_is_wrong_with_it(tmp_path, models, monkeypatch):
    place = described(
        tmp_path, "tokenizer.model", models["bpe"][:5000], tokenizer_class="LlamaTokenizer"
    )
    with pytest.raises(ScrupleError, match=r"tokenizer\.model is damaged or cut short"):
        load_tokenizer(place)
    ranks = b"".join(base64.b64encode(bytes([i])) + b" %d\n" % i for i in range(256))
    (tmp_path / "tokenizer.model").write_bytes(ranks)
    real = sentencepieces.find_spec
    lacking = {"tiktoken"}
    monkeypatch.setattr(
        sentencepieces, "find_spec", lambda name: None if name in lacking else real(name)
    )
    with pytest.raises(ScrupleError, match=r"tiktoken, which is not .*`pip install tiktoken`"):
        load_tokenizer(place)
    lacking.add("google.protobuf")
    with pytest.raises(ScrupleError, match=r"\(google.protobuf\): .*install sentencepiece proto"):
        load_tokenizer(place)


def test_every_file_of_a_tokenizer_is_taken(tmp_path):
    for name in ("tokenizer.json", "spiece.model", "vocab.txt", "qwen.tiktoken", "a.bpe.model"):
        assert has_tokenizer(["config.json", name])
    assert not has_tokenizer(["config.json", "model.safetensors", "tokenizer_config.json"])
    assert has_tokenizer(["tokenizer_config.json"], code=True)
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text("")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "config.json").write_text("{}")
    for name in ("config.json", "merges.txt", "added_tokens.json", "spiece.model", "x.safetensors"):
        (tmp_path / name).write_text("")
    names = names_in(tmp_path)
    told = ["added_tokens.json", "additional_chat_templates/tool_use.jinja", "merges.txt",
            "spiece.model"]  # fmt: skip
    assert describing_files(names, False) == sorted([*told, "config.json"])
    assert tokenizer_files(names) == told


def test_a_lacking_tokenizer_and_lacking_weights_are_told_apart(make_checkpoint, tmp_path):
    path, params = make_checkpoint("for-lacking", 16, 1)
    folder = tmp_path / "c"
    shutil.copytree(path, folder)
    checkpoint = Checkpoint(name="c", params=params, path=str(folder))
    (folder / "tokenizer.json").rename(folder / "kept")
    with pytest.raises(ScrupleError, match="it has no tokenizer"):
        fetch_checkpoint(checkpoint, lambda _: None)
    (folder / "kept").rename(folder / "tokenizer.json")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ScrupleError, match="a part of its weights is missing"):
        fetch_checkpoint(checkpoint, lambda _: None)


def test_a_local_folder_whose_tokenizer_is_not_read_is_refused_when_fetched(
    make_checkpoint, tmp_path, models
):
    path, params = make_checkpoint("for-spiece", 16, 1)
    folder = tmp_path / "c"
    shutil.copytree(path, folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_text("broken")
    checkpoint = Checkpoint(name="c", params=params, path=str(folder))
    with pytest.raises(ScrupleError, match="checkpoint c: transformers cannot read the tokenizer"):
        fetch_checkpoint(checkpoint, lambda _: None)
    described(folder, "tokenizer.model", models["bpe"], tokenizer_class="LlamaTokenizer")
    assert AutoConfig.from_pretrained(folder).vocab_size == 400
    assert "tokenizer.model" in fetch_checkpoint(checkpoint, lambda _: None).files


def test_the_chat_template_of_a_processor_is_the_tokenizers(make_checkpoint, tmp_path):
    path, _ = make_checkpoint("processor", 8, 1)
    folder = tmp_path / "c"
    shutil.copytree(path, folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert load_tokenizer(Location("c", str(folder))).tokenizer.chat_template == "{{ messages }}"
    (folder / "chat_template.json").write_text("[]")
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    with pytest.raises(ScrupleError, match="cannot read the tokenizer"):
        load_tokenizer(Location("c", str(again)))
