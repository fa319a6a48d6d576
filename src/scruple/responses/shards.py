"""Shards: a benchmark that takes a checkpoint long is asked in several jobs, by items.

A shard is a run of whole pieces, the units in which items are asked anyway; so what is computed
together is the same whether a table is made at once or gathered. Cheap to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scruple.files import whole

PIECE = 4096
"""Prompts that are asked, and held in memory, together: at least so many, of whole items."""
PATTERN = r"\d+-of-\d+"
"""What a shard's name looks like."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of a table of responses.

    Attributes:
        number: from 1.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def named(cls, name: str) -> Shard:
        """Return the shard that is called so, such as `2-of-5`."""
        number, of = name.split("-of-")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def part(self, pieces: Sequence[Any]) -> Sequence[Any]:
        """Return this shard's part of the pieces; shards differ by one piece at most."""
        edges = [round(place * len(pieces) / self.of) for place in (self.number - 1, self.number)]
        return pieces[edges[0] : edges[1]]


WHOLE = Shard(1, 1)


def shards_of(count: int) -> list[Shard]:
    """Return all shards of a table."""
    return [Shard(number, count) for number in range(1, count + 1)]


def gather_tables(shards: Sequence[Path], target: Path) -> None:
    """Write the tables of all shards, in their order, as one: just as it would be without shards.

    Args:
        shards: the tables' files.
        target: the file to be written.

    Raises:
        ScrupleError: if it cannot be written.
    """
    import pyarrow.parquet as pq  # not for every start

    schema = pq.read_schema(shards[0])
    with whole(target) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for path in shards:
            with pq.ParquetFile(path) as table:
                for group in range(table.num_row_groups):
                    writer.write_table(table.read_row_group(group))


def gather_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the provenance says of a table that was made in shards.

    Args:
        records: what each shard's job says; amounts and seconds are added up, and every run stays.
    """
    sums = ("responses", "prompt_tokens", "reasoning_tokens", "seconds")
    return {
        **records[0],
        **{key: round(sum(record[key] for record in records), 1) for key in sums},
        "shards": len(records),
        "runs": [run for record in records for run in record["runs"]],
    }
