"""Finished results of one checkpoint, kept in parts on disk, so that no work is ever lost.

A part is written whole, named after a hash of its content, and never changed. What it holds is
addressed by all that a result depends on: the folder by the checkpoint's files and number format,
an entry by the exact request. So a job that was killed goes on where it stopped, a study that asks
more computes only what is new, and nothing is ever served from another checkpoint's results.
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
"""Of what engines compute: with a higher one, results of earlier versions are not used."""
_FLUSH_AFTER = 2.0
"""Seconds between parts: the most that a job which is killed loses beside the batch in flight."""
_MERGE_FROM = 32
"""Parts of about the same size that are merged into one."""


def fingerprint(manifest: Manifest, engine: str, dtype: str) -> str:
    """Return the name of a checkpoint's folder: a hash of all its results depend on.

    Args:
        manifest: the checkpoint's, with the hashes of its files.
        engine: name of the engine.
        dtype: number format of the weights in use.
    """
    files = sorted((name, facts.sha256) for name, facts in manifest.files.items())
    return _hash([_VERSION, engine, dtype, files]).hex()


def score_key(request: ScoreRequest) -> bytes:
    """Return the address of a score request's result."""
    return _hash(["score", request.prompt, request.candidates, request.answers, request.special])


def reasoning_key(request: GenerateRequest, decoding: Decoding) -> bytes:
    """Return the address of a generate request's result."""
    settings = decoding.model_dump(include={"max_new_tokens", "temperature", "top_p"})
    return _hash(
        ["reasoning", request.prompt, request.seed, request.special, request.stop, settings]
    )


def _hash(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Store:
    """One checkpoint's finished results: on disk, but for the keys and what is not written yet."""

    def __init__(self, folder: Path) -> None:
        """Open a store, and make its folder if there is none.

        Parts that are damaged are set aside, with a line in the log; what they held is computed
        again.

        Raises:
            ScrupleError: if nothing can be written there.
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
        """Return those of the results that are there."""
        return self._get("scores", keys)

    def reasoning(self, keys: Iterable[bytes]) -> dict[bytes, Generation]:
        """Return those of the results that are there."""
        return self._get("reasoning", keys)

    def add(self, results: Mapping[bytes, Result]) -> None:
        """Keep results; they are on disk after a few seconds or when `flush` is called."""
        for key, result in results.items():
            kind = "scores" if isinstance(result, Scores) else "reasoning"
            self._pending[kind][key] = result
        if time.monotonic() - self._flushed > _FLUSH_AFTER:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet.

        Raises:
            ScrupleError: if it cannot be written; nothing that was written before is lost.
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
        except FileNotFoundError:  # another job has merged parts: all of it is in newer ones
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
        """Open the parts that are on disk, and no others."""
        self._parts[kind] = {}
        for path in sorted(self._folder.glob(f"{kind}-*.parquet")):
            self._open(kind, path)

    def _open(self, kind: str, path: Path) -> None:
        try:
            self._parts[kind][path] = Part(path, kind)
        except FileNotFoundError:
            return  # merged by another job in the meantime; `_get` looks again where it matters
        except Damaged as error:
            set_aside(path, error)

    def _merge(self, kind: str) -> None:
        """Merge parts of about the same size once they are many."""
        sizes: dict[int, list[Part]] = {}
        for part in self._parts[kind].values():
            sizes.setdefault(int(math.log(max(len(part), 1), _MERGE_FROM)), []).append(part)
        for parts in sizes.values():
            if len(parts) < _MERGE_FROM:
                continue
            try:
                merged = merge_parts(self._folder, kind, parts)
            except (FileNotFoundError, Damaged):  # another job is at it, or a part is damaged
                self._look(kind)
                return
            for part in parts:
                del self._parts[kind][part.path]
            self._open(kind, merged)
