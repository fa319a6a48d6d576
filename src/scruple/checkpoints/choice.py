"""Choose the files of a checkpoint to use: one format of weights, config and tokenizer files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from scruple.errors import ScrupleError
from scruple.study.families import Hub

_DESCRIBING = (".json", ".model", ".txt", ".jinja", ".tiktoken", ".codes")
_TEMPLATES = "additional_chat_templates"
"""The only folder in a checkpoint from which transformers reads files."""
_TOKENIZER = re.compile(r"tokenizer\.json|vocab\.(json|txt)|tekken\.json|[\w.-]+\.(model|tiktoken)")
"""Files that hold a tokenizer's vocabulary: of tokenizers, of BERT and GPT-2, of Mistral, of
sentencepiece (tokenizer.model, spiece.model, sentencepiece.bpe.model, …) and of tiktoken."""
_TOLD = re.compile(
    r"tokenizer[\w.-]*\.json|merges\.txt|added_tokens\.json|special_tokens_map\.json"
    rf"|chat_template\.(jinja|json)|{_TEMPLATES}/[^/]+\.jinja"
)
_SAFE = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")


def describing_files(names: Iterable[str], code: bool) -> list[str]:
    """Return the names of config and tokenizer files, and of Python files if `code` is true."""
    suffixes = (*_DESCRIBING, ".py") if code else _DESCRIBING
    return sorted(
        name
        for name in names
        if ("/" not in name and name.endswith(suffixes)) or _TOLD.fullmatch(name)
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of a checkpoint's files in a folder, with those of its chat templates."""
    templates = (f"{_TEMPLATES}/{path.name}" for path in (folder / _TEMPLATES).glob("*.jinja"))
    return [*(path.name for path in folder.iterdir() if path.is_file()), *templates]


def has_tokenizer(names: Iterable[str], code: bool = False) -> bool:
    """Return whether there is a tokenizer among some files, by their names.

    Args:
        names: the names of all files.
        code: whether the checkpoint's own code is run; it may read a vocabulary of any name.
    """
    return any(
        _TOKENIZER.fullmatch(name) or (code and name == "tokenizer_config.json") for name in names
    )


def tokenizer_files(names: Iterable[str]) -> list[str]:
    """Return the names of the files on which a tokenizer and its chat templates depend."""
    return sorted(name for name in names if _TOKENIZER.fullmatch(name) or _TOLD.fullmatch(name))


def weight_files(names: Iterable[str], hub: Hub, place: str) -> list[str]:
    """Return the names of the weight files that transformers loads, safetensors if there are any.

    Args:
        names: the names of all files.
        hub: its `allow_pickle` says whether pickled weights may be used if there are no others.
        place: the checkpoint and its location, for error messages.

    Raises:
        ScrupleError: if there are no weights, or none that are allowed.
    """
    names = sorted(names)
    safe = [name for name in names if _SAFE.fullmatch(name)]
    pickled = [name for name in names if _PICKLED.fullmatch(name)]
    if safe or (pickled and hub.allow_pickle):
        return safe or pickled
    if pickled:
        raise ScrupleError(
            f"{place}: has pickled weights only ({pickled[0]}). Set `hub: {{allow_pickle: true}}` "
            "in the config to have PyTorch's restricted unpickler read them, which runs no code "
            "of theirs, or choose a revision with safetensors."
        )
    raise ScrupleError(
        f"{place}: has no weights (model.safetensors, or its parts).{gguf_hint(names)}"
    )


def gguf_hint(names: Iterable[str]) -> str:
    """Return the rest of a message if there are GGUF files, of which none was named."""
    there = sorted(name for name in names if name.endswith(".gguf"))
    return f" It has GGUF files ({', '.join(there)}): name one with `file`." if there else ""


def needs_code(folder: Path, place: str) -> bool:
    """Return whether only the checkpoint's own code, not transformers, has its architecture.

    Raises:
        ScrupleError: if its config.json cannot be read.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no mapping")
    except ValueError as error:
        raise ScrupleError(
            f"{place}: {path} cannot be read ({error}); correct it, or take another revision."
        ) from None
    if "AutoModelForCausalLM" not in config.get("auto_map", {}):
        return False
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return config.get("model_type") not in CONFIG_MAPPING_NAMES


def check_code(folder: Path, origin: str, hub: Hub, place: str) -> bool:
    """Return whether to run the checkpoint's own code.

    Raises:
        ScrupleError: if the checkpoint needs its own code and `allow_code` does not name it, or if
            its config.json cannot be read.
    """
    if not needs_code(folder, place):
        return False
    if origin not in hub.allow_code:
        raise ScrupleError(
            f"{place}: transformers does not know its architecture, and it brings Python code of "
            "its own, which Scruple does not run unasked. Read the code, then allow it by name: "
            f"`hub: {{allow_code: [{origin}]}}`; or leave the checkpoint out."
        )
    return True


def check_parts(folder: Path, weights: Sequence[str], place: str) -> None:
    """Raise an error if a weight file that the index names is missing.

    Args:
        folder: the folder with the index.
        weights: the names of the weight files that exist.
        place: the checkpoint and its location, for error messages.

    Raises:
        ScrupleError: naming a missing file, or if the index cannot be read.
    """
    kind = "model.safetensors" if weights[0].endswith(".safetensors") else "pytorch_model.bin"
    index = folder / f"{kind}.index.json"
    if kind in weights or not index.is_file():
        return
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ScrupleError(f"{place}: {index.name} cannot be read ({error}).") from None
    if missing := sorted(parts - set(weights)):
        raise ScrupleError(
            f"{place}: is not complete: its index names {missing[0]}, which is not there; take "
            "another revision."
        )
