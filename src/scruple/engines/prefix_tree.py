"""Packs texts that share beginnings into trees, so that each distinct token is computed once.

A pack is the prefix tree of some token sequences, laid out in one row: a node per distinct prefix.
A model reads it with positions by depth, and attention lets every node see its ancestors alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Tokens = tuple[int, ...]


_SPAN = 128
"""Nodes that a span holds: few, so that they see little but their own ancestors."""


@dataclass(frozen=True)
class Span:
    """A run of nodes, and all that they see.

    Attributes:
        start: the first of its Q nodes.
        stop: the node after the last.
        keys: the nodes that any of them sees, shape (K,).
        visible: which of them sees which of those: itself and its ancestors, shape (Q, K).
    """

    start: int
    stop: int
    keys: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Pack:
    """Prefix trees of R sequences with N nodes in all.

    Attributes:
        tokens: of each node, shape (N,).
        depths: of each node, which is its position, shape (N,).
        spans: what the nodes see, in runs that follow one another.
        paths: per sequence the nodes along it, each of the sequence's length.
    """

    tokens: np.ndarray
    depths: np.ndarray
    spans: tuple[Span, ...]
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


def count_nodes(rows: Sequence[Tokens]) -> int:
    """Return the nodes of the prefix tree of sorted sequences."""
    pairs = itertools.pairwise(rows)
    return len(rows[0]) + sum(len(row) - shared_length(last, row) for last, row in pairs)


def make_pack(rows: Sequence[Tokens]) -> Pack:
    """Return the prefix tree of sequences that are sorted, as `plan_packs` yields them."""
    size = sum(len(row) for row in rows)
    tokens = np.empty(size, dtype=np.int64)
    depths = np.empty(size, dtype=np.int64)
    branches: list[_Branch] = []
    paths: list[np.ndarray] = []
    nodes, earlier = 0, np.empty(0, dtype=np.int64)
    for number, row in enumerate(rows):
        shared = shared_length(rows[number - 1], row) if number else 0
        stop = nodes + len(row) - shared
        tokens[nodes:stop] = row[shared:]
        depths[nodes:stop] = np.arange(shared, len(row))
        branches.append((nodes, stop, earlier[:shared]))
        earlier = np.concatenate([earlier[:shared], np.arange(nodes, stop)])
        paths.append(earlier)
        nodes = stop
    return Pack(tokens[:nodes], depths[:nodes], tuple(_spans(branches, nodes)), tuple(paths))


def join_packs(packs: Sequence[Pack]) -> Pack:
    """Return packs as one, behind one another; none sees anything of another."""
    starts = np.cumsum([0, *(len(pack.tokens) for pack in packs)])
    pairs = list(zip(packs, map(int, starts), strict=False))
    return Pack(
        np.concatenate([pack.tokens for pack in packs]),
        np.concatenate([pack.depths for pack in packs]),
        tuple(
            Span(span.start + first, span.stop + first, span.keys + first, span.visible)
            for pack, first in pairs
            for span in pack.spans
        ),
        tuple(path + first for pack, first in pairs for path in pack.paths),
    )


_Branch = tuple[int, int, np.ndarray]
"""New nodes of a sequence, from the first to the one after the last, and their ancestors."""


def _spans(branches: Sequence[_Branch], nodes: int) -> Iterator[Span]:
    for start in range(0, nodes, _SPAN):
        stop = min(start + _SPAN, nodes)
        visible = np.zeros((stop - start, stop), dtype=bool)
        for first, last, ancestors in branches:
            low, high = max(first, start), min(last, stop)
            if low < high:
                visible[low - start : high - start, ancestors] = True
                own = np.tri(high - low, high - first, low - first, dtype=bool)
                visible[low - start : high - start, first:high] = own
        keys = np.flatnonzero(visible.any(axis=0))
        yield Span(start, stop, keys, visible[:, keys])
