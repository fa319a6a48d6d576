"""Packs texts that share beginnings into trees, so that each distinct token is computed once.

A pack is the prefix tree of some token sequences, laid out in one row: a node per distinct prefix.
A model reads it with positions by depth and a mask that lets every node see its ancestors alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Pack:
    """A prefix tree of R sequences with N nodes.

    Attributes:
        tokens: of each node, shape (N,).
        depths: of each node, which is its position, shape (N,).
        visible: visible[i, j] tells whether node i sees node j: itself or an ancestor; (N, N).
        paths: per sequence the nodes along it, each of the sequence's length.
    """

    tokens: np.ndarray
    depths: np.ndarray
    visible: np.ndarray
    paths: tuple[np.ndarray, ...]


def shared_length(first: Tokens, second: Tokens) -> int:
    """Return how many tokens two sequences have in common at their beginnings."""
    shortest = min(len(first), len(second))
    if first[:shortest] == second[:shortest]:
        return shortest
    differs = np.not_equal(first[:shortest], second[:shortest])
    return int(differs.argmax())


def plan_packs(rows: Sequence[Tokens], budget: int) -> Iterator[list[Tokens]]:
    """Cut sequences into packs of at most `budget` nodes, those with shared beginnings together.

    The plan depends on sequences and budget alone. A sequence longer than the budget has a pack of
    its own; a beginning that packs share is repeated in each.

    Args:
        rows: sequences of tokens, each once, none of them empty.
        budget: nodes of one pack.
    """
    pack: list[Tokens] = []
    nodes = 0
    for row in sorted(rows):
        # sorted, the longest beginning that a row shares with any earlier one is its neighbour's
        more = len(row) - (shared_length(pack[-1], row) if pack else 0)
        if pack and nodes + more > budget:
            yield pack
            pack, nodes, more = [], 0, len(row)
        pack.append(row)
        nodes += more
    if pack:
        yield pack


def make_pack(rows: Sequence[Tokens]) -> Pack:
    """Return the prefix tree of sequences that are sorted, as `plan_packs` yields them."""
    size = sum(len(row) for row in rows)
    tokens = np.empty(size, dtype=np.int64)
    depths = np.empty(size, dtype=np.int64)
    origins: list[tuple[int, int, np.ndarray]] = []
    paths: list[np.ndarray] = []
    nodes, earlier = 0, np.empty(0, dtype=np.int64)
    for number, row in enumerate(rows):
        shared = shared_length(rows[number - 1], row) if number else 0
        new = len(row) - shared
        tokens[nodes : nodes + new] = row[shared:]
        depths[nodes : nodes + new] = np.arange(shared, len(row))
        origins.append((nodes, new, earlier[:shared]))
        earlier = np.concatenate([earlier[:shared], np.arange(nodes, nodes + new)])
        paths.append(earlier)
        nodes += new
    visible = np.zeros((nodes, nodes), dtype=bool)
    for start, new, ancestors in origins:
        visible[start : start + new, ancestors] = True
        visible[start : start + new, start : start + new] = np.tri(new, dtype=bool)
    return Pack(tokens[:nodes], depths[:nodes], visible, tuple(paths))
