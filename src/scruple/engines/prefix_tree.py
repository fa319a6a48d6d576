"""Pack texts with shared prefixes into trees, so that each shared token is computed once per pack.

A pack is the prefix tree of some token sequences, laid out in one row with one node per distinct
prefix. In the model, the position of a node is its depth, and the node attends only to itself and
its ancestors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Tokens = tuple[int, ...]


_SPAN = 128
"""The most nodes of a span: few, so that each node attends to most of the span's keys."""


@dataclass(frozen=True)
class Span:
    """A run of consecutive nodes, and the nodes that they attend to.

    Attributes:
        start: the index of the first of its Q nodes.
        stop: the index after the last.
        keys: the nodes that any of them attends to, shape (K,).
        visible: which of these keys each node attends to (itself and its ancestors), shape (Q, K).
    """

    start: int
    stop: int
    keys: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Pack:
    """Prefix trees of R sequences with N nodes in total.

    Attributes:
        tokens: the token of each node, shape (N,).
        depths: the depth of each node, which is its position in the sequence, shape (N,).
        spans: consecutive spans that cover all nodes, and what they attend to.
        paths: the nodes along each sequence, R arrays of the sequence's length.
    """

    tokens: np.ndarray
    depths: np.ndarray
    spans: tuple[Span, ...]
    paths: tuple[np.ndarray, ...]


def shared_length(first: Tokens, second: Tokens) -> int:
    """Return the length of the common prefix of two sequences."""
    shortest = min(len(first), len(second))
    if first[:shortest] == second[:shortest]:
        return shortest
    differs = np.not_equal(first[:shortest], second[:shortest])
    return int(differs.argmax())


def plan_packs(rows: Sequence[Tokens], budget: int) -> Iterator[list[Tokens]]:
    """Sort sequences and cut them into packs of at most `budget` nodes.

    Sorting keeps sequences with shared prefixes together. The packs depend only on the sequences
    and the budget. A sequence longer than the budget gets its own pack. A prefix that several packs
    share is repeated in each.

    Args:
        rows: distinct, non-empty sequences of tokens.
        budget: the most nodes of a pack.
    """
    pack: list[Tokens] = []
    nodes = 0
    for row in sorted(rows):
        # in sorted order, a row's longest shared prefix is the one with the row just before it
        more = len(row) - (shared_length(pack[-1], row) if pack else 0)
        if pack and nodes + more > budget:
            yield pack
            pack, nodes, more = [], 0, len(row)
        pack.append(row)
        nodes += more
    if pack:
        yield pack


def count_nodes(rows: Sequence[Tokens]) -> int:
    """Return the number of nodes in the prefix tree of sorted sequences."""
    pairs = itertools.pairwise(rows)
    return len(rows[0]) + sum(len(row) - shared_length(last, row) for last, row in pairs)


def make_pack(rows: Sequence[Tokens]) -> Pack:
    """Return the prefix tree of sorted sequences, as yielded by `plan_packs`."""
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
    """Concatenate packs into one; no node attends to a node of another pack."""
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
"""The new nodes of a sequence (index of the first, index after the last) and their ancestors."""


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
