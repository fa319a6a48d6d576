"""Shards: a long run of a benchmark on a checkpoint is split by items into several jobs.

A job processes items in pieces, and a shard is a run of whole pieces. The same trials are therefore
computed together with and without shards. This module is cheap to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scruple.files import whole

PIECE = 4096
"""A piece is complete once it has this many prompts; it has whole items and is held in memory."""
PATTERN = r"\d+-of-\d+"
"""The regular expression for a shard's name."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of a table of responses.

    Attributes:
        number: the number of the shard, from 1.
        of: the number of shards of the table.
    """

    number: int
    of: int

    @classmethod
    def named(cls, name: str) -> Shard:
        """Return the shard with this name, such as `2-of-5`."""
        number, of = name.split("-of-")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def part(self, pieces: Sequence[Any]) -> Sequence[Any]:
        """Return this shard's part of the pieces; parts differ in length by at most one."""
        edges = [round(place * len(pieces) / self.of) for place in (self.number - 1, self.number)]
        return pieces[edges[0] : edges[1]]


WHOLE = Shard(1, 1)


def shards_of(count: int) -> list[Shard]:
    """Return all shards of a table that is split into `count`."""
    return [Shard(number, count) for number in range(1, count + 1)]


def gather_tables(shards: Sequence[Path], target: Path) -> None:
    """Concatenate the tables of all shards, in order, into the table of a run without shards.

    Args:
        shards: the files of the shards' tables.
        target: the file to write.

    Raises:
        ScrupleError: if the file cannot be written.
    """
    import pyarrow.parquet as pq  # slow, and the Snakefile imports this module at every start

    schema = pq.read_schema(shards[0])
    with whole(target) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for path in shards:
            with pq.ParquetFile(path) as table:
                for group in range(table.num_row_groups):
                    writer.write_table(table.read_row_group(group))


def gather_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the provenance record of a table that was computed in shards.

    Args:
        records: the records of the shards' jobs. Counts and seconds are summed, the lists of runs
            are joined, and everything else is taken from the first.
    """
    sums = ("responses", "prompt_tokens", "reasoning_tokens", "seconds")
    return {
        **records[0],
        **{key: round(sum(record[key] for record in records), 1) for key in sums},
        "reasoning_ended": {
            reason: sum(record["reasoning_ended"][reason] for record in records)
            for reason in records[0]["reasoning_ended"]
        },
        "shards": len(records),
        "runs": [run for record in records for run in record["runs"]],
    }
