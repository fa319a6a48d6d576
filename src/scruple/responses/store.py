"""Finished results of one checkpoint, stored in parts on disk, so that work is not lost.

A part is written atomically, named after a hash of its content, and never changed. Results are
addressed by everything that they depend on: the folder by the checkpoint's files, the engine and
the number format, an entry by the exact request. So a killed job continues where it stopped, an
enlarged study computes only what is new, and results of different checkpoints are never mixed up.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.checkpoints.manifest import Manifest
from scruple.engines import GenerateRequest, Generation, ScoreRequest, Scores
from scruple.errors import ScrupleError
from scruple.responses.store_parts import (
    KINDS,
    SCHEMAS,
    Damaged,
    Part,
    Result,
    merge_parts,
    set_aside,
    write_part,
)
from scruple.study.settings import Decoding

_VERSION = 1
"""The version of what engines compute; raise it to ignore results of earlier versions."""
_REASONING = 2
"""The same for reasoning alone, whose end and tokens version 0.1 found in another way."""
_FLUSH_AFTER = 2.0
"""Seconds between parts: a killed job loses at most these, and the batch being computed."""
_MERGE_FROM = 32
"""This many parts of about the same size are merged into one."""


def fingerprint(manifest: Manifest, engine: str, dtype: str) -> str:
    """Return the name of a checkpoint's folder: a hash of everything that its results depend on.

    Args:
        manifest: the checkpoint's manifest, with the hashes of its files.
        engine: the name of the engine.
        dtype: the number format of the loaded weights.
    """
    files = sorted((name, facts.sha256) for name, facts in manifest.files.items())
    return _hash([_VERSION, engine, dtype, files]).hex()


def score_key(request: ScoreRequest, appended: tuple[int, ...] = ()) -> bytes:
    """Return the key of a score request's result: a hash of the request.

    Args:
        request: the request.
        appended: the tokens that the tokenizer puts behind a text, unless it is the end token.
            Version 0.1 left them in the prompt, so such requests need another key.
    """
    content = ["score", request.prompt, request.candidates, request.answers, request.special]
    return _hash([*content, appended] if appended and request.special else content)


def reasoning_key(request: GenerateRequest, decoding: Decoding) -> bytes:
    """Return the key of a generate request's result: a hash of the request and its decoding."""
    settings = decoding.model_dump(include={"max_new_tokens", "temperature", "top_p"})
    return _hash(
        [
            "reasoning",
            _REASONING,
            request.prompt,
            request.seed,
            request.special,
            [request.marks.ends, request.marks.starts],
            settings,
        ]
    )


def _hash(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Store:
    """One checkpoint's finished results; memory holds only keys and results not yet written."""

    def __init__(self, folder: Path) -> None:
        """Open a store, creating its folder if necessary.

        Damaged parts are renamed, with a warning in the log, and their results are computed again.

        Raises:
            ScrupleError: if the folder is not writable.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ScrupleError(
                f"{folder}: finished responses cannot be kept here ({error.strerror}); free space "
                "or change its permissions."
            ) from None
        self._folder = folder
        self._parts: dict[str, dict[Path, Part]] = {kind: {} for kind in SCHEMAS}
        self._pending: dict[str, dict[bytes, Result]] = {kind: {} for kind in SCHEMAS}
        self._flushed = time.monotonic()
        for kind in SCHEMAS:
            self._look(kind)
            self._merge(kind)

    def scores(self, keys: Iterable[bytes]) -> dict[bytes, Scores]:
        """Return the stored results for those keys that have one."""
        return self._get(KINDS[Scores], keys)

    def reasoning(self, keys: Iterable[bytes]) -> dict[bytes, Generation]:
        """Return the stored reasoning for those keys that have one."""
        return self._get(KINDS[Generation], keys)

    def add(self, results: Mapping[bytes, Result]) -> None:
        """Add results; they are written every few seconds, or when `flush` is called."""
        for key, result in results.items():
            self._pending[KINDS[type(result)]][key] = result
        if time.monotonic() - self._flushed > _FLUSH_AFTER:
            self.flush()

    def flush(self) -> None:
        """Write all results that are not on disk yet.

        Raises:
            ScrupleError: if they cannot be written; results already on disk are not affected.
        """
        for kind, pending in self._pending.items():
            if pending:
                self._open(kind, write_part(self._folder, kind, pending))
                self._pending[kind] = {}
                self._merge(kind)
        self._flushed = time.monotonic()

    def _get(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, Any]:
        wanted = list(dict.fromkeys(keys))
        pending = self._pending[kind]
        results = {key: pending[key] for key in wanted if key in pending}
        try:
            self._find(kind, wanted, results)
        except FileNotFoundError:  # another job has merged parts: read the new ones
            self._look(kind)
            self._find(kind, wanted, results)
        return results

    def _find(self, kind: str, keys: Sequence[bytes], results: dict[bytes, Any]) -> None:
        for path, part in list(self._parts[kind].items()):
            missing = [key for key in keys if key not in results]
            if not missing:
                return
            try:
                results |= part.find(missing)
            except Damaged as error:
                set_aside(path, error)
                del self._parts[kind][path]

    def _look(self, kind: str) -> None:
        """Open all parts that are now on disk, and forget all others."""
        self._parts[kind] = {}
        for path in sorted(self._folder.glob(f"{kind}-*.parquet")):
            self._open(kind, path)

    def _open(self, kind: str, path: Path) -> None:
        try:
            self._parts[kind][path] = Part(path, kind)
        except FileNotFoundError:
            return  # merged by another job meanwhile; `_get` lists the parts again if necessary
        except Damaged as error:
            set_aside(path, error)

    def _merge(self, kind: str) -> None:
        """Merge parts of about the same size once there are `_MERGE_FROM` of them."""
        sizes: dict[int, list[Part]] = {}
        for part in self._parts[kind].values():
            sizes.setdefault(int(math.log(max(len(part), 1), _MERGE_FROM)), []).append(part)
        for parts in sizes.values():
            if len(parts) < _MERGE_FROM:
                continue
            try:
                merged = merge_parts(self._folder, kind, parts)
            except (FileNotFoundError, Damaged):  # merged by another job, or damaged
                self._look(kind)
                return
            for part in parts:
                del self._parts[kind][part.path]
            self._open(kind, merged)
