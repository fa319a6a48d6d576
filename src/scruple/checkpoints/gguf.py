"""The header of a GGUF file: whether the file is whole, and the architecture that it holds.

Only the standard library is used, since this is read at every start. The format is described in
llama.cpp's documentation, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.study.architecture import Shape

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""GGUF's number of a value's type → its format in the module struct."""
_STRING, _ARRAY = 8, 9
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Number of a tensor's type → weights in a block, and bytes of a block."""
_KINDS = {"gptneox": "neox", "qwen2": "qwen2", "olmo2": "olmo2", "bloom": "bloom"}
"""GGUF's name of an architecture → `kind` of a shape; others are treated like Llama."""


@dataclass(frozen=True)
class Tensor:
    """A tensor's dimensions (innermost first) and the number of its type."""

    dimensions: tuple[int, ...]
    type: int


@dataclass(frozen=True)
class Header:
    """What a GGUF file says before its weights.

    Attributes:
        metadata: key → value; an array of strings is left out, an array of numbers is a tuple.
        tensors: name of each tensor → its dimensions and type.
        end: the bytes that the file must have, if the types of all tensors are known; else where
            the weights begin.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    end: int


def check_gguf(path: Path, name: str) -> None:
    """Raise an error if a file is not a whole GGUF file with the weights of a language model.

    Args:
        path: the file.
        name: the checkpoint's name, for messages.

    Raises:
        ScrupleError: naming the checkpoint and the file.
    """
    place = f"checkpoint {name}: {path}"
    header = _header(path, place)
    if int(header.metadata.get("split.count", 0)) > 1:
        raise ScrupleError(
            f"{place} is one part of a GGUF file in several, which are not read: join them with "
            "llama.cpp's `llama-gguf-split --merge`, or take a file in one piece."
        )
    if path.stat().st_size < header.end:
        raise ScrupleError(
            f"{place} is damaged or cut short: its header announces {header.end:,} bytes, and it "
            f"has {path.stat().st_size:,}; copy or fetch it again."
        )
    kind = header.metadata.get("general.type", "model")
    if kind != "model" or "token_embd.weight" not in header.tensors:
        raise ScrupleError(
            f"{place} holds no language model (`general.type` is {kind}, and there are "
            f"{len(header.tensors)} tensors); correct `file`."
        )
    if "tokenizer.ggml.model" not in header.metadata:
        raise ScrupleError(f"{place} holds no tokenizer; take a GGUF file that has one.")


def gguf_header(path: Path) -> Header:
    """Return the header of a GGUF file.

    Raises:
        ValueError: if it is none, or its header is damaged or cut short.
    """
    state = path.stat()
    return _read(path, state.st_size, state.st_mtime_ns)


def gguf_shape(path: Path) -> Shape | None:
    """Return the dimensions of the architecture in a GGUF file; None if they are incomplete."""
    try:
        header = gguf_header(path)
        about, kind = header.metadata, str(header.metadata["general.architecture"])
        keys = about.get(f"{kind}.attention.head_count_kv")
        wide = about.get(f"{kind}.feed_forward_length")
        width, vocab = header.tensors["token_embd.weight"].dimensions
        return Shape.model_validate({
            "kind": _KINDS.get(kind, "llama"),
            "layers": about[f"{kind}.block_count"],
            "width": width,
            "heads": about[f"{kind}.attention.head_count"],
            "kv_heads": max(keys) if isinstance(keys, tuple) else keys,
            "head_width": about.get(f"{kind}.attention.key_length"),
            "mlp": max(wide) if isinstance(wide, tuple) else wide,
            "vocab": vocab,
            "tied": "output.weight" not in header.tensors,
        })  # fmt: skip
    except (OSError, KeyError, ValueError):
        return None


def _header(path: Path, place: str) -> Header:
    try:
        return gguf_header(path)
    except FileNotFoundError:
        raise ScrupleError(f"{place} is not there; correct `file`.") from None
    except OSError as error:
        raise ScrupleError(f"{place} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise ScrupleError(f"{place} {error}; correct `file`, or copy or fetch it again.") from None


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> Header:
    """Read a header; `size` and `changed` (ns) tell files of one name apart.

    Raises:
        ValueError: saying what is wrong with the file.
    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("is not a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).header()
            except (struct.error, KeyError, UnicodeDecodeError, OverflowError, MemoryError):
                raise ValueError("is damaged or cut short within its header") from None


class _Reader:
    """Reads a GGUF file's header from its content, from the beginning."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 4

    def header(self) -> Header:
        version = self._one("I")
        if version not in (2, 3):
            raise ValueError(f"has version {version} of GGUF; versions 2 and 3 can be read")
        count, pairs = self._one("Q"), self._one("Q")
        metadata = {}
        for _ in range(pairs):
            key, value = self._string(), self._value(self._one("I"))
            if value is not None:
                metadata[key] = value
        tensors, ends = {}, [0]
        for _ in range(count):
            name = self._string()
            tensor = Tensor(self._many("Q", self._one("I")), self._one("I"))
            offset = self._one("Q")
            tensors[name] = tensor
            if tensor.type in _BLOCKS:
                weights, size = _BLOCKS[tensor.type]
                ends.append(offset + math.prod(tensor.dimensions) // weights * size)
        step = int(metadata.get("general.alignment", 32)) or 1
        return Header(metadata, tensors, -(-self._at // step) * step + max(ends))

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._one(_SCALARS[kind])
        inner, length = self._one("I"), self._one("Q")
        if inner in _SCALARS:
            return self._many(_SCALARS[inner], length)
        if inner == _STRING:
            self._skip(length)
            return None
        return [self._value(inner) for _ in range(length)]

    def _one(self, kind: str) -> Any:
        return self._many(kind, 1)[0]

    def _many(self, kind: str, count: int) -> tuple[Any, ...]:
        if count * struct.calcsize(f"<{kind}") > len(self._content) - self._at:
            raise struct.error
        form = f"<{count}{kind}"
        found = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return found

    def _string(self) -> str:
        length = self._one("Q")
        start, self._at = self._at, self._at + length
        if self._at > len(self._content):
            raise struct.error
        return self._content[start : self._at].decode()

    def _skip(self, count: int) -> None:
        """Pass over strings; there are hundreds of thousands of them in a vocabulary."""
        at, content, length = self._at, self._content, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(content, at)[0]
        self._at = at
