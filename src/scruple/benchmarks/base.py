"""What every benchmark module provides, and the pieces that they share."""

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


@dataclass(frozen=True)
class Shown:
    """How the report shows an item's answers.

    Attributes:
        texts: answer → what it says.
        roles: answer → what it means for the bias that is measured.
        right: the right answer; empty where there is none.
    """

    texts: Mapping[str, str]
    roles: Mapping[str, str]
    right: str = ""


class BenchmarkModule(Protocol):
    """The interface of a benchmark: items → prompts → metrics.

    For a benchmark without options, strata or subsets, `by_name` and `all_items` below are the
    usual `shown` and `over`.
    """

    ANSWERS: tuple[str, ...]
    """Names of the possible answers, as in `logprob_<answer>` and `answer`."""
    SAMPLING_UNIT: str
    """The column whose values are drawn when a study takes a random part of the items."""
    STRATA: tuple[str, ...]
    """Columns whose values together name the strata that each give their share of such a part."""
    BY_STRATUM: bool
    """Whether metrics are computed of each stratum of the items too (for BBQ: the category)."""

    def read(self, files: Sequence[Path], entry: Benchmark) -> Items:
        """Read and check the source files."""
        ...

    def question(self, item: Row, prompts: PromptFile, scoring: str, order: int) -> Question:
        """Return what an item puts into a prompt."""
        ...

    def shown(self, item: Row) -> Shown:
        """Return how the report shows an item's answers."""
        ...

    def tally_of(self, group: pd.DataFrame) -> Tally:
        """Return what is to be summed of one condition's responses, joined with their items."""
        ...

    def metrics_of(self, columns: Sequence[str]) -> list[Metric]:
        """Return the metrics that can be computed from sums of these columns."""
        ...

    def over(self, metric: Metric, subset: str) -> Metric:
        """Return a metric of one of the subsets that a margin may name."""
        ...


def by_name(answers: Sequence[str]) -> Callable[[Row], Shown]:
    """Return a `shown` that calls answers by their names, none of them right or wrong."""
    names = {answer: answer for answer in answers}
    return lambda item: Shown(names, names)


def all_items(metric: Metric, subset: str) -> Metric:
    """Return a metric as it is: an `over` for benchmarks whose only subset is all items."""
    return metric


def hash_choice(key: str, n: int) -> int:
    """Return a number below n that depends on the key alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n


def draw(
    table: pd.DataFrame, unit: str, n: int | None, seed: int, strata: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a random part of the items: n units, or all where n is None or larger.

    Every stratum gives its share, up to a unit: its m units, in a random order, stand at
    (k + u)/m for k = 0 … m - 1 and one random u of its own, and the n that come first are taken
    (systematic sampling, Cochran 1977, ch. 8). All is decided by hashes of the seed, so a larger n
    keeps all items of a smaller one and a study can be enlarged without losing what it has.

    Args:
        table: the items.
        unit: the column whose values are drawn.
        n: how many of them.
        seed: decides the draw.
        strata: columns whose values together name a stratum; none for a plain random part.
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
    """Return a number in [0, 1) that depends on the key alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
