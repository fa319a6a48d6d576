"""Two ways through a model: plain batches, and packed prefix trees, with the same answers."""

from __future__ import annotations

import inspect
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from transformers import DynamicCache

from scruple.engines import tree_attention
from scruple.engines.prefix_tree import Pack, Tokens, join_packs, make_pack, plan_packs

log = logging.getLogger(__name__)

Place = tuple[int, int]
"""Number of a sequence in its batch, and the position whose next token is asked for."""

PACK = 2048
"""Nodes of a pack: each repeats the beginning that it shares with others, so not too few."""
_PART = 256
"""Rows of logits that are summed up at a time."""
_TOLERANCE = {torch.float32: 1e-3}
_ROUGH = 0.1
"""Largest difference between packed and plain log-probabilities, in units of their spread."""


class Logits(NamedTuple):
    """Logits of next tokens; places that share a text share them, since vocabularies are large.

    Attributes:
        values: shape (N, vocabulary).
        index: per place which of the N are its, shape (places,).
    """

    values: torch.Tensor
    index: torch.Tensor

    def logprobs(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of one token after each place, both of shape (places,)."""
        totals = torch.cat([part.float().logsumexp(dim=-1) for part in self.values.split(_PART)])
        tokens = tokens.to(self.values.device)
        return self.values[self.index, tokens].double() - totals[self.index].double()


@dataclass(frozen=True)
class Prefix:
    """What a model has read of R prompts, from which it can go on.

    Attributes:
        logits: of the token after each prompt, shape (R, vocabulary).
        layers: keys and values per layer, of shape (R, heads, L, size of a head), padded left.
        mask: 1 where a prompt has a token, shape (R, L).
    """

    logits: torch.Tensor
    layers: list[tuple[torch.Tensor, torch.Tensor]]
    mask: torch.Tensor


class Forward(Protocol):
    """Reads distributions of next tokens off a model."""

    name: str

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut distinct sequences into batches, the same ones for the same sequences."""
        ...

    def read(self, batch: Sequence[Tokens], places: Sequence[Place]) -> Logits:
        """Read what comes after some places."""
        ...

    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """Read prompts to go on from, each as many times as `repeats` says."""
        ...


class Plain:
    """Batches of sequences of about the same length, padded on the right."""

    name = "plain batches"

    def __init__(self, model: Any, batch_tokens: int) -> None:
        """Wrap a model.

        Args:
            model: a causal language model in evaluation mode.
            batch_tokens: tokens of a batch, padding included.
        """
        self._model = model
        self._budget = batch_tokens
        self._device = model.get_input_embeddings().weight.device
        self._keeps_logits = takes(model, "logits_to_keep")

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut sequences, longest first, by tokens; see `Forward.batches`."""
        batch: list[Tokens] = []
        for row in sorted(rows, key=lambda row: (-len(row), row)):
            if batch and len(batch[0]) * (len(batch) + 1) > self._budget:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    @torch.inference_mode()
    def read(self, batch: Sequence[Tokens], places: Sequence[Place]) -> Logits:
        """See `Forward.read`. A causal model cannot see padding on the right."""
        width = max(len(row) for row in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(batch):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        wanted = torch.tensor(places)
        start = int(wanted[:, 1].min())
        options: dict[str, Any] = {"use_cache": False}
        if self._keeps_logits:
            options["logits_to_keep"] = width - start
        logits = self._model(
            input_ids=ids.to(self._device), attention_mask=mask.to(self._device), **options
        ).logits
        first = start if self._keeps_logits else 0
        index = wanted[:, 0] * logits.shape[1] + wanted[:, 1] - first
        return Logits(logits.flatten(0, 1), index.to(logits.device))

    @torch.inference_mode()
    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """See `Forward.prefix`."""
        mask = _left_mask([len(row) for row in batch]).to(self._device)
        ids = torch.zeros_like(mask)
        for number, row in enumerate(batch):
            ids[number, -len(row) :] = torch.tensor(row)
        options: dict[str, Any] = {}
        if takes(self._model, "position_ids"):
            options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        if self._keeps_logits:
            options["logits_to_keep"] = 1
        # the model's own cache may keep a window only, which rows of several lengths cannot share
        output = self._model(
            input_ids=ids, attention_mask=mask, use_cache=True, past_key_values=DynamicCache(),
            **options,
        )  # fmt: skip
        index = torch.repeat_interleave(torch.tensor(repeats)).to(self._device)
        layers = []
        for layer in output.past_key_values.layers:  # they may lie on several devices
            here = index.to(layer.keys.device)
            layers.append((layer.keys[here], layer.values[here]))
        return Prefix(output.logits[:, -1][index.to(output.logits.device)], layers, mask[index])


class Packed:
    """Prefix trees: every distinct token of a pack once, logits only where they are read."""

    name = "packed prefix trees"

    def __init__(self, model: Any, pack_tokens: int, at_once: int = 1) -> None:
        """Wrap a model, whose attention from then on can read trees.

        Args:
            model: a causal language model in evaluation mode.
            pack_tokens: the most nodes of a pack.
            at_once: packs of a batch.

        Raises:
            ValueError: if the model's attention cannot be exchanged.
        """
        model.set_attn_implementation(tree_attention.NAME)
        self._model = model
        self._budget = pack_tokens
        self._at_once = at_once
        self._device = model.get_input_embeddings().weight.device

    def batches(self, rows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
        """Cut sequences into packs, and take some at once; see `Forward.batches`."""
        packs = plan_packs(rows, self._budget)
        while some := list(itertools.islice(packs, self._at_once)):
            yield [row for pack in some for row in pack]

    @torch.inference_mode()
    def read(self, batch: Sequence[Tokens], places: Sequence[Place]) -> Logits:
        """See `Forward.read`."""
        pack = self._pack(batch)
        nodes = np.array([pack.paths[row][position] for row, position in places])
        return self._run(pack, nodes, False)[0]

    @torch.inference_mode()
    def prefix(self, batch: Sequence[Tokens], repeats: Sequence[int]) -> Prefix:
        """See `Forward.prefix`. What the prompts share is computed once, then copied."""
        pack = self._pack(batch)
        paths = [
            path for path, times in zip(pack.paths, repeats, strict=True) for _ in range(times)
        ]
        (values, index), cache = self._run(pack, np.array([path[-1] for path in paths]), True)
        mask = _left_mask([len(path) for path in paths])
        nodes = torch.zeros_like(mask)
        for number, path in enumerate(paths):
            nodes[number, -len(path) :] = torch.from_numpy(path)
        layers = []
        for layer in cache.layers:
            here = nodes.to(layer.keys.device)
            layers.append(
                (layer.keys[0][:, here].transpose(0, 1), layer.values[0][:, here].transpose(0, 1))
            )
        return Prefix(values[index], layers, mask.to(self._device))

    def _pack(self, batch: Sequence[Tokens]) -> Pack:
        """Return the trees of a batch: packs do not depend on how many are read at once."""
        return join_packs([make_pack(pack) for pack in plan_packs(batch, self._budget)])

    def _run(self, pack: Pack, nodes: np.ndarray, use_cache: bool) -> tuple[Logits, Any]:
        """Return the logits after some nodes, and the cache of all."""
        kept, where = np.unique(nodes, return_inverse=True)
        output = self._model(
            input_ids=torch.from_numpy(pack.tokens)[None].to(self._device),
            position_ids=torch.from_numpy(pack.depths)[None].to(self._device),
            # a mask of four dimensions is passed on as it is; attention looks at `sight` instead
            attention_mask=torch.zeros((1, 1, 1, 1), device=self._device),
            logits_to_keep=torch.from_numpy(kept).to(self._device),
            use_cache=use_cache,
            sight=tree_attention.Sight(pack.spans),
        )
        values = output.logits[0]
        return Logits(values, torch.from_numpy(where).to(values.device)), output.past_key_values


def choose_forward(model: Any, batch_tokens: int, at_once: int = 0) -> Forward:
    """Return packed prefix trees where they give what plain batches give, else plain batches.

    Not every architecture takes positions and attention of one's own (ALiBi has no positions, some
    count them from the mask), so both ways are tried on a few sequences that branch.

    Args:
        model: a causal language model in evaluation mode.
        batch_tokens: tokens of a plain batch, and the most of a pack.
        at_once: tokens that may be read at once, if more than a pack has.
    """
    plain = Plain(model, batch_tokens)
    if not (takes(model, "position_ids") and takes(model, "logits_to_keep")):
        log.info("plain batches: the model takes no positions, or keeps all logits")
        return plain
    if _has_windows(model.config.get_text_config()):
        log.info("plain batches: the model's attention does not reach over the whole text")
        return plain
    batch, places = _branching(int(model.get_input_embeddings().weight.shape[0]))
    expected = _log_softmax(plain.read(batch, places))
    allowed = _TOLERANCE.get(model.dtype, _ROUGH) * float(expected.std(dim=-1).mean())
    before = model.config._attn_implementation
    try:
        pack = min(PACK, batch_tokens)
        packed = Packed(model, pack, max(1, at_once // pack))
        found = _log_softmax(packed.read(batch, places))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        log.info("packed prefix trees fail (%s: %s)", type(error).__name__, error)
    else:
        difference = float((found - expected).abs().max())
        if difference <= allowed:
            return packed
        log.info("packed prefix trees differ from plain batches by %.2g in log p", difference)
    model.set_attn_implementation(before)
    log.info("plain batches: the model cannot read packed prefix trees")
    return plain


def _log_softmax(logits: Logits) -> torch.Tensor:
    return torch.log_softmax(logits.values[logits.index].float(), dim=-1)


def _has_windows(config: Any) -> bool:
    """Tell whether some layer sees less than the whole text, which short sequences do not show."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds) != {"full_attention"}
    return getattr(config, "sliding_window", None) is not None


def _left_mask(lengths: Sequence[int]) -> torch.Tensor:
    """Return 1 where sequences of these lengths have tokens, padded on the left."""
    width = max(lengths)
    return (torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]).long()


def _branching(words: int) -> tuple[list[Tokens], list[Place]]:
    """Return sorted sequences that share beginnings, and all places in them."""
    rng = np.random.default_rng(0)
    trunk = tuple(int(token) for token in rng.integers(words, size=7))
    ends = [tuple(int(token) for token in rng.integers(words, size=n)) for n in (1, 3, 5, 4)]
    rows = {trunk, *(trunk + end for end in ends[:3]), trunk[:3] + ends[3]}
    batch = sorted(rows)
    return batch, [(row, place) for row in range(len(batch)) for place in range(len(batch[row]))]


def takes(model: Any, name: str) -> bool:
    """Tell whether a model's forward has an argument of that name."""
    return name in inspect.signature(model.forward).parameters
