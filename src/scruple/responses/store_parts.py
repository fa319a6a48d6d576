"""One part of the store: a Parquet file named after a hash of its content, and its index."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scruple.engines import Generation, Scores
from scruple.files import whole

log = logging.getLogger(__name__)

_GROUP = 1024
"""Rows per Parquet row group; a lookup reads only the row groups that contain its keys."""

SCHEMAS = {
    "scores": pa.schema(
        [
            ("key", pa.binary(16)),
            ("logprobs", pa.list_(pa.float64())),
            ("tokens", pa.list_(pa.int32())),
            ("valid_mass", pa.float64()),
            ("prompt_tokens", pa.int32()),
        ]
    ),
    "reasoning-2": pa.schema(
        [
            ("key", pa.binary(16)),
            ("text", pa.string()),
            ("tokens", pa.int32()),
            ("ended", pa.string()),
        ]
    ),
}
"""Kind of result → its columns. A kind gets a new name if they change, or what they mean."""

KINDS = {Scores: "scores", Generation: "reasoning-2"}
"""Type of a result → its kind."""

Result = Scores | Generation


class Damaged(Exception):
    """The content of a part is not what was written, or cannot be read."""


class Part:
    """A file of finished results; only shortened keys (8 bytes each) are kept in memory."""

    def __init__(self, path: Path, kind: str) -> None:
        """Open a part and verify it.

        Raises:
            FileNotFoundError, Damaged: as `read` does.
        """
        self.path = path
        self._kind = kind
        short = _short(self.read(["key"])["key"].to_pylist())
        self._order = np.argsort(short, kind="stable").astype(np.int32)
        self._sorted = short[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return the part's table, all columns or some, after checking the hash in its name.

        Raises:
            FileNotFoundError: if another job has merged the part into a new one.
            Damaged: if its content is not what was written, or cannot be read.
        """
        with _damage():
            content = self.path.read_bytes()
            if self.path.stem != f"{self._kind}-{_name(content)}":
                raise Damaged("its content is not what was written")
            return pq.read_table(io.BytesIO(content), columns=columns)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """Return the results for those keys that are in this part.

        Raises:
            FileNotFoundError: if another job has merged the part into a new one.
            Damaged: if the part can no longer be read.
        """
        short = _short(keys)
        places = np.searchsorted(self._sorted, short).clip(max=max(len(self) - 1, 0))
        if not len(self) or not (hits := self._sorted[places] == short).any():
            return {}
        # if two keys share their first 8 bytes, one may be missed, but never confused
        wanted = {keys[int(k)] for k in np.flatnonzero(hits)}
        groups = sorted({int(row) // _GROUP for row in self._order[places[hits]]})
        with _damage(), pq.ParquetFile(self.path) as file:
            rows = file.read_row_groups(groups).to_pylist()
        return {row["key"]: _result(self._kind, row) for row in rows if row["key"] in wanted}


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Turn read errors into Damaged; pass FileNotFoundError on."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(str(error)) from None


def set_aside(path: Path, why: Damaged) -> None:
    """Rename a damaged part, so that it is not read again, and log a warning."""
    aside = path.with_suffix(".damaged")
    log.warning("%s is damaged (%s): set aside as %s", path, why, aside.name)
    with contextlib.suppress(FileNotFoundError):  # another job has already renamed or merged it
        path.replace(aside)


def write_part(folder: Path, kind: str, results: Mapping[bytes, Result]) -> Path:
    """Write results as a part; return its path."""
    rows = [{"key": key, **asdict(result)} for key, result in results.items()]
    return _write(folder, kind, pa.Table.from_pylist(rows, SCHEMAS[kind]))


def merge_parts(folder: Path, kind: str, parts: Sequence[Part]) -> Path:
    """Merge parts into one without duplicates, then remove them; return the new part's path.

    Raises:
        FileNotFoundError, Damaged: as `Part.read` does; then nothing is written or removed.
    """
    paths = [part.path for part in parts]
    table = pa.concat_tables([part.read() for part in parts])
    keys = table["key"].to_pylist()
    kept = _write(folder, kind, table.take(list({key: k for k, key in enumerate(keys)}.values())))
    for path in paths:
        if path != kept:
            path.unlink(missing_ok=True)
    return kept


def _write(folder: Path, kind: str, table: pa.Table) -> Path:
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", row_group_size=_GROUP)
    path = folder / f"{kind}-{_name(content.getvalue())}.parquet"
    with whole(path) as part:
        part.write_bytes(content.getvalue())
    return path


def _name(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _short(keys: Sequence[bytes]) -> np.ndarray:
    """Return the first 8 bytes of each key as an integer, shape (len(keys),)."""
    return np.frombuffer(b"".join(key[:8] for key in keys), dtype=np.uint64)


def _result(kind: str, row: dict[str, Any]) -> Result:
    if kind == KINDS[Generation]:
        return Generation(row["text"], row["tokens"], row["ended"])
    return Scores(
        tuple(row["logprobs"]), tuple(row["tokens"]), row["valid_mass"], row["prompt_tokens"]
    )
