"""What every benchmark module provides, and the pieces that they share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from scruple.benchmarks.tally import Metric, Tally
from scruple.prompts import PromptFile
from scruple.statistics.clusters import ClusterSums
from scruple.study import Benchmark

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Items:
    """A benchmark's items, and those that cannot be used.

    Attributes:
        table: one row per item with `item_id`, `cluster`, `stratum`, `weight`, `follow` (the
            answer that a `q+follow` prompt asks for) and the benchmark's own columns.
        left_out: `item_id` and `reason` of every item that the files hold and the table does not.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame


@dataclass(frozen=True)
class Question:
    """What one item puts into a prompt.

    Attributes:
        slots: what the {…} of the prompt file stand for.
        lead_in: how the scored turn opens.
        candidates: surface forms of each answer.
    """

    slots: dict[str, str]
    lead_in: str
    candidates: dict[str, tuple[str, ...]]


class BenchmarkModule(Protocol):
    """The interface of a benchmark: items → prompts → metrics."""

    ANSWERS: tuple[str, ...]
    """Names of the possible answers, as in `logprob_<answer>` and `answer`."""
    SAMPLING_UNIT: str
    """The column whose values are drawn when a study takes a random part of the items."""

    def read(self, files: Sequence[Path], entry: Benchmark) -> Items:
        """Read and check the source files."""
        ...

    def scorings(self, entry: Benchmark) -> tuple[str, ...]:
        """Return the names of the scorings; one empty name where there is no choice."""
        ...

    def question(self, item: Row, prompts: PromptFile, scoring: str, order: int) -> Question:
        """Return what an item puts into a prompt."""
        ...

    def measure(self, responses: pd.DataFrame) -> pd.DataFrame:
        """Return metrics of responses joined with their items."""
        ...

    def tally_of(self, group: pd.DataFrame) -> Tally:
        """Return what is to be summed of one condition's responses, joined with their items."""
        ...

    def sums_of(self, group: pd.DataFrame) -> ClusterSums:
        """Reduce one condition's responses, joined with their items, to sums per cluster."""
        ...

    def metrics_of(self, columns: Sequence[str]) -> list[Metric]:
        """Return the metrics that can be computed from sums of these columns."""
        ...

    def over(self, metric: Metric, subset: str) -> Metric:
        """Return a metric of one of the subsets that a margin may name."""
        ...


def hash_choice(key: str, n: int) -> int:
    """Return a number below n that depends on the key alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n


def draw(table: pd.DataFrame, unit: str, n: int | None, seed: int) -> pd.DataFrame:
    """Return a random part of the items: n units, or all where n is None or larger.

    The order of the draw is the order of a hash of seed and unit, so a larger n keeps all items of
    a smaller one and a study can be enlarged without losing what it has.
    """
    units = table[unit].drop_duplicates()
    if n is None or n >= len(units):
        return table
    ranks = units.map(
        lambda name: hashlib.blake2b(f"{seed}|{name}".encode(), digest_size=8).hexdigest()
    )
    chosen = set(units[ranks.sort_values().index[:n]])
    return table[table[unit].isin(chosen)].reset_index(drop=True)
