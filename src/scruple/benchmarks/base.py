"""What every benchmark module provides, and the pieces that they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from scruple.prompts import PromptFile
from scruple.statistics.clusters import ClusterSums, Function, identity, jackknife
from scruple.study import Benchmark

Row = Mapping[str, Any]

GROUP = ["condition", "wording", "scoring"]
"""The keys of the responses that metrics are computed for, each combination on its own."""


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
class Metric:
    """A metric as a function of sums; most are shares, from 0 to 1.

    Attributes:
        name: as in the metrics table.
        function: from sums of shape (..., S, K) to (...).
        count: the column whose sum is the number of items behind the value.
        bounds: the values that the metric can take; its interval is cut there.
        transform: the scale on which its interval is made.
        inverse: the way back.
    """

    name: str
    function: Function
    count: str
    bounds: tuple[float, float] = (0.0, 1.0)
    transform: Callable[[np.ndarray], np.ndarray] = field(default=identity)
    inverse: Callable[[np.ndarray], np.ndarray] = field(default=identity)


class BenchmarkModule(Protocol):
    """The interface of a benchmark: items → prompts → metrics."""

    ANSWERS: tuple[str, ...]
    """Names of the possible answers, as in `logprob_<answer>` and `answer`."""
    VERSION: int
    """Changes when the numbers that the module yields would."""
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


def row_weights(responses: pd.DataFrame) -> pd.Series:
    """Return each response's weight: its item's, shared among the item's orders and samples."""
    repeats = responses.groupby("item_id")["item_id"].transform("size")
    return responses["weight"] / repeats


def estimate(
    sums: ClusterSums, metrics: Sequence[Metric], subset: str, keys: Mapping[Any, Any]
) -> list[dict[str, Any]]:
    """Return one row of the metrics table per metric."""
    rows = []
    for metric in metrics:
        counted = sums.sums[:, sums.columns.index(metric.count)]
        # a cluster without such items says nothing, and must not count as a degree of freedom
        present = sums.keep(counted > 0)
        result = jackknife(present, metric.function, metric.transform, metric.inverse)
        rows.append(
            {
                **keys,
                "subset": subset,
                "metric": metric.name,
                "value": result.value,
                "ci_low": max(result.low, metric.bounds[0]),  # NaN stays NaN: it comes first
                "ci_high": min(result.high, metric.bounds[1]),
                "n_items": round(counted.sum()),
                "n_clusters": int((counted > 0).sum()),
            }
        )
    return rows


def ratio(columns: Sequence[str], top: str, bottom: str) -> Function:
    """Return the statistic Σ top / Σ bottom over all strata; undefined where Σ bottom is 0."""
    i, j = columns.index(top), columns.index(bottom)

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)
        return divide(total[..., i], total[..., j])

    return function


def share_of_most_common(columns: Sequence[str], counts: Sequence[str]) -> Function:
    """Return the statistic max over counts / Σ counts: 1 where the answer is always the same."""
    places = [columns.index(name) for name in counts]

    def function(sums: np.ndarray) -> np.ndarray:
        total = sums.sum(axis=-2)[..., places]
        return divide(total.max(axis=-1), total.sum(axis=-1))

    return function


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is 0 (up to rounding of sums)."""
    zero = np.abs(bottom) < 1e-9
    return np.where(zero, np.nan, top / np.where(zero, 1.0, bottom))


def probabilities(responses: pd.DataFrame, answers: Sequence[str]) -> np.ndarray:
    """Return the answers' probabilities given that one of them is chosen, shape (rows, answers).

    Log-probabilities are divided by the candidate's number of tokens where `tokens_<answer>` is
    given, so that a long option is not at a disadvantage.
    """
    logs = responses[[f"logprob_{answer}" for answer in answers]].to_numpy(dtype=float)
    lengths = [f"tokens_{answer}" for answer in answers]
    if set(lengths) <= set(responses.columns):
        logs = logs / responses[lengths].fillna(1).to_numpy(dtype=float)
    shifted = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
