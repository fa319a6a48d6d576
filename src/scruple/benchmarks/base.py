"""The interface of a benchmark module, and helpers that the modules share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from scruple.benchmarks.tally import Tally
from scruple.prompts.files import PromptFile
from scruple.statistics.metric import Metric
from scruple.study.settings import Benchmark

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Items:
    """A benchmark's usable items, and a list of those that were left out.

    Attributes:
        table: one row per item, with the columns `item_id`, `cluster`, `stratum`, `weight`,
            `follow` (the answer that a `q+follow` prompt asks for) and the benchmark's own.
        left_out: `item_id` and `reason` of every item that is in the files but not in the table.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame


@dataclass(frozen=True)
class Question:
    """The parts of a prompt that come from the item.

    Attributes:
        slots: the values for the {…} placeholders of the prompt file.
        lead_in: the first words of the turn in which the answer is scored.
        candidates: the surface forms of each answer.
    """

    slots: dict[str, str]
    lead_in: str
    candidates: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Shown:
    """How the report shows an item's answers.

    Attributes:
        texts: answer → its text.
        roles: answer → its role in the measured bias, such as `biased`.
        right: the correct answer; empty if there is none.
    """

    texts: Mapping[str, str]
    roles: Mapping[str, str]
    right: str = ""


class BenchmarkModule(Protocol):
    """The interface of a benchmark: items → prompts → metrics.

    A benchmark without options, strata or subsets can use `by_name(ANSWERS)` and `all_items`
    (below) as its `shown` and `over`. A module may have a READER (`benchmarks/reader.py`) for
    answers that were made elsewhere; without one, these must be the names of its ANSWERS.
    """

    ANSWERS: tuple[str, ...]
    """The possible answers: the values of `answer`, and the suffixes of `logprob_<answer>`."""
    SAMPLING_UNIT: str
    """The column whose values are sampled when a study uses a random sample of the items."""
    STRATA: tuple[str, ...]
    """Columns that together define the strata of that sample; each gets a proportional share."""
    BY_STRATUM: bool
    """Whether metrics are also computed per stratum of the items (for BBQ: per category)."""

    def read(self, files: Sequence[Path], entry: Benchmark) -> Items:
        """Read and check the source files."""
        ...

    def question(self, item: Row, prompts: PromptFile, scoring: str, order: int) -> Question:
        """Return the parts of a prompt that come from an item."""
        ...

    def shown(self, item: Row) -> Shown:
        """Return how the report shows an item's answers."""
        ...

    def tally_of(self, group: pd.DataFrame) -> Tally:
        """Return the columns to sum for one condition's responses, joined with their items."""
        ...

    def metrics_of(self, columns: Sequence[str]) -> list[Metric]:
        """Return the metrics that can be computed from sums of these columns."""
        ...

    def over(self, metric: Metric, subset: str) -> Metric:
        """Return a metric restricted to one of the subsets that a margin may name."""
        ...


def by_name(answers: Sequence[str]) -> Callable[[Row], Shown]:
    """Return a `shown` that shows each answer by its name, with no correct answer."""
    names = {answer: answer for answer in answers}
    return lambda item: Shown(names, names)


def all_items(metric: Metric, subset: str) -> Metric:
    """Return the metric unchanged: an `over` for benchmarks whose only subset is all items."""
    return metric


def hash_choice(key: str, n: int) -> int:
    """Return an integer from 0 to n − 1 that depends only on the key."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n


def draw(
    table: pd.DataFrame, unit: str, n: int | None, seed: int, strata: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a random sample of the items: n units, or all if n is None or not smaller.

    Each stratum gets its proportional share, to within one unit. The m units of a stratum are put
    in random order and placed at (k + u)/m for k = 0 … m - 1, with one random u per stratum; the n
    units with the smallest values are taken (systematic sampling, Cochran 1977, ch. 8). The order
    and u are hashes of the seed, so a larger n includes every item of a smaller n: a study can be
    enlarged and keep the responses that it has.

    Args:
        table: the items.
        unit: the column whose values are sampled.
        n: the number of units.
        seed: the random seed.
        strata: columns that together define a stratum; empty for a simple random sample.
    """
    units = table.drop_duplicates(unit)
    if n is None or n >= len(units):
        return table
    names = units[unit].map(str)
    rank = names.map(lambda name: _uniform(f"{seed}|{name}"))
    if strata:
        stratum = units[list(strata)].astype(str).agg("|".join, axis=1)
        places = rank.groupby(stratum).rank(method="first") - 1
        offset = stratum.map({name: _uniform(f"{seed}|{name}") for name in stratum.unique()})
        rank = (places + offset) / stratum.map(stratum.value_counts())
    chosen = set(units[unit][rank.sort_values(kind="stable").index[:n]])
    return table[table[unit].isin(chosen)].reset_index(drop=True)


def _uniform(key: str) -> float:
    """Return a number in [0, 1) that depends only on the key."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
