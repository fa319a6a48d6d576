"""Finished results of one checkpoint, kept in parts on disk, so that no work is ever lost.

A part is written whole, named after a hash of its content, and never changed. What it holds is
addressed by all that a result depends on: the folder by the checkpoint's files and number format,
an entry by the exact request. So a job that was killed goes on where it stopped, a study that asks
more computes only what is new, and nothing is ever served from another checkpoint's results.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scruple.engines import GenerateRequest, Generation, ScoreRequest, Scores
from scruple.jobs import whole
from scruple.study import Decoding

log = logging.getLogger(__name__)

_VERSION = 1
"""Of what engines compute: with a higher one, results of earlier versions are not used."""
_FLUSH_AFTER = 2.0
"""Seconds between parts: the most that a job which is killed loses beside the batch in flight."""
_MERGE_FROM = 32
"""Parts of a kind from which on they are merged into one when the store is opened."""

_SCHEMAS = {
    "scores": pa.schema(
        [
            ("key", pa.binary(16)),
            ("logprobs", pa.list_(pa.float64())),
            ("tokens", pa.list_(pa.int32())),
            ("valid_mass", pa.float64()),
            ("prompt_tokens", pa.int32()),
        ]
    ),
    "reasoning": pa.schema([("key", pa.binary(16)), ("text", pa.string()), ("tokens", pa.int32())]),
}

Result = Scores | Generation


def fingerprint(manifest: Mapping[str, Any], engine: str, dtype: str) -> str:
    """Return the name of a checkpoint's folder: a hash of all its results depend on.

    Args:
        manifest: what `fetch_checkpoint` wrote: its `files` with their hashes.
        engine: name of the engine.
        dtype: number format of the weights in use.
    """
    files = sorted((name, facts["sha256"]) for name, facts in manifest["files"].items())
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
    """One checkpoint's finished results."""

    def __init__(self, folder: Path) -> None:
        """Open a store, and make its folder if there is none.

        Parts that are damaged are set aside, with a line in the log; what they held is computed
        again.
        """
        self._folder = folder
        self._found: dict[str, dict[bytes, Result]] = {kind: {} for kind in _SCHEMAS}
        self._pending: dict[str, dict[bytes, Result]] = {kind: {} for kind in _SCHEMAS}
        self._flushed = time.monotonic()
        for kind, found in self._found.items():
            parts = sorted(folder.glob(f"{kind}-*.parquet"))
            for path in parts:
                found.update(_read(path, kind))
            if len(parts) >= _MERGE_FROM:
                self._merge(kind, parts)

    def scores(self, keys: Iterable[bytes]) -> dict[bytes, Scores]:
        """Return those of the results that are there."""
        return self._get("scores", keys)

    def reasoning(self, keys: Iterable[bytes]) -> dict[bytes, Generation]:
        """Return those of the results that are there."""
        return self._get("reasoning", keys)

    def add(self, results: Mapping[bytes, Result]) -> None:
        """Keep results; they are on disk after a few seconds or when the store is closed."""
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
                self._write(kind, pending)
                self._found[kind].update(pending)
                self._pending[kind] = {}
        self._flushed = time.monotonic()

    def _get(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, Any]:
        found, pending = self._found[kind], self._pending[kind]
        return {
            key: result
            for key in keys
            if (result := found.get(key) or pending.get(key)) is not None
        }

    def _write(self, kind: str, results: Mapping[bytes, Result]) -> Path:
        rows = [{"key": key, **asdict(result)} for key, result in results.items()]
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMAS[kind]), content, compression="zstd")
        path = self._folder / f"{kind}-{_name(content.getvalue())}.parquet"
        with whole(path) as part:
            part.write_bytes(content.getvalue())
        return path

    def _merge(self, kind: str, parts: list[Path]) -> None:
        """Write all results of a kind into one part; only then remove the many."""
        if not self._found[kind]:
            return
        kept = self._write(kind, self._found[kind])
        for path in parts:
            if path != kept:
                path.unlink(missing_ok=True)


def _name(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _read(path: Path, kind: str) -> dict[bytes, Result]:
    try:
        content = path.read_bytes()
        if path.stem != f"{kind}-{_name(content)}":
            raise ValueError("its content is not what was written")
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    except FileNotFoundError:
        return {}  # merged by another job in the meantime, which has all of it
    except (OSError, ValueError, pa.ArrowException) as error:
        aside = path.with_suffix(".damaged")
        log.warning("%s is damaged (%s): set aside as %s", path, error, aside.name)
        path.replace(aside)
        return {}
    if kind == "scores":
        return {
            row["key"]: Scores(
                tuple(row["logprobs"]),
                tuple(row["tokens"]),
                row["valid_mass"],
                row["prompt_tokens"],
            )
            for row in rows
        }
    return {row["key"]: Generation(row["text"], row["tokens"]) for row in rows}
