"""One part of the store: a Parquet file that is named after its content, and an index of it."""

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
"""Rows that are read together: a lookup reads the groups in which it finds something."""

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
    "reasoning": pa.schema([("key", pa.binary(16)), ("text", pa.string()), ("tokens", pa.int32())]),
}

Result = Scores | Generation


class Damaged(Exception):
    """A part does not hold what was written."""


class Part:
    """A file of finished results; what is held in memory are its keys alone, shortened."""

    def __init__(self, path: Path, kind: str) -> None:
        """Open a part and verify it; raises what `read` does."""
        self.path = path
        self._kind = kind
        short = _short(self.read(["key"])["key"].to_pylist())
        self._order = np.argsort(short, kind="stable").astype(np.int32)
        self._sorted = short[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return what the part holds, verified by its name; all columns, or some.

        Raises:
            FileNotFoundError: if another job has merged it away.
            Damaged: if its content is not what was written.
        """
        with _damage():
            content = self.path.read_bytes()
            if self.path.stem != f"{self._kind}-{_name(content)}":
                raise Damaged("its content is not what was written")
            return pq.read_table(io.BytesIO(content), columns=columns)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """Return those of the results that are here.

        Raises:
            FileNotFoundError: if another job has merged the part away.
            Damaged: if it cannot be read any more.
        """
        short = _short(keys)
        places = np.searchsorted(self._sorted, short).clip(max=max(len(self) - 1, 0))
        if not len(self) or not (hits := self._sorted[places] == short).any():
            return {}
        # of two keys with the same eight bytes here the second would be missed, never mistaken
        wanted = {keys[int(k)] for k in np.flatnonzero(hits)}
        groups = sorted({int(row) // _GROUP for row in self._order[places[hits]]})
        with _damage(), pq.ParquetFile(self.path) as file:
            rows = file.read_row_groups(groups).to_pylist()
        return {row["key"]: _result(self._kind, row) for row in rows if row["key"] in wanted}


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Let what cannot be read be Damaged, and what is gone be gone."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(str(error)) from None


def set_aside(path: Path, why: Damaged) -> None:
    """Rename a damaged part, so that nobody reads it again, and say so in the log."""
    aside = path.with_suffix(".damaged")
    log.warning("%s is damaged (%s): set aside as %s", path, why, aside.name)
    with contextlib.suppress(FileNotFoundError):  # another job did it
        path.replace(aside)


def write_part(folder: Path, kind: str, results: Mapping[bytes, Result]) -> Path:
    """Write results as a part; return its path."""
    rows = [{"key": key, **asdict(result)} for key, result in results.items()]
    return _write(folder, kind, pa.Table.from_pylist(rows, SCHEMAS[kind]))


def merge_parts(folder: Path, kind: str, parts: Sequence[Part]) -> Path:
    """Write what several parts hold as one, each result once; only then remove the many.

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
    """Return the first eight bytes of keys as numbers, shape (len(keys),)."""
    return np.frombuffer(b"".join(key[:8] for key in keys), dtype=np.uint64)


def _result(kind: str, row: dict[str, Any]) -> Result:
    if kind == "reasoning":
        return Generation(row["text"], row["tokens"])
    return Scores(
        tuple(row["logprobs"]), tuple(row["tokens"]), row["valid_mass"], row["prompt_tokens"]
    )
