"""Model, loss and training loop of the control family."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from scruple.control.corpus import Document
from scruple.control.members import STEPS
from scruple.files import whole

END = "<eot>"
_SNAPSHOT_EVERY = 250  # steps


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters, the same for control checkpoints of all sizes.

    Attributes:
        steps: optimizer steps.
        batch: documents per step.
        rate: learning rate at width 32; it scales with the width to the power of `rate_power`.
        rate_power: exponent of that rule.
        warm_up: share of steps over which the learning rate rises.
        decay: share of steps, at the end, over which it falls to zero.
        context: loss weight of words that only set the scene.
        reasoning: loss weight of the reasoning.
        decisive: loss weight of the answer.
    """

    steps: int = STEPS[-1]
    batch: int = 32
    rate: float = 0.006
    rate_power: float = -0.75
    warm_up: float = 0.07
    decay: float = 0.3
    context: float = 0.2
    reasoning: float = 1.0
    decisive: float = 3.0

    def rate_at(self, step: int, width: int) -> float:
        """Return the learning rate of a step: linear warm-up, constant, linear decay."""
        peak = self.rate * (width / 32) ** self.rate_power
        rise = (step + 1) / max(self.warm_up * self.steps, 1)
        fall = (self.steps - step) / max(self.decay * self.steps, 1)
        return peak * min(rise, fall, 1.0)


def shape_of(width: int) -> dict[str, int]:
    """Return the layers and heads of a width: one more layer per doubling, heads of size 16."""
    return {
        "num_hidden_layers": max(1, round(math.log2(width / 4))),
        "num_attention_heads": max(1, width // 16),
    }


def make_model(width: int, words: int, seed: int) -> GPTNeoXForCausalLM:
    """Return an untrained GPT-NeoX of the given width.

    Args:
        width: width of the residual stream.
        words: size of the vocabulary.
        seed: seed of the initial weights.
    """
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=4 * width,
        max_position_embeddings=128,
        rotary_pct=1.0,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0},
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        **shape_of(width),
    )
    return GPTNeoXForCausalLM(config)


def make_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per word; END marks the end of a turn and of a text."""
    ranks = {word: i for i, word in enumerate([END, *(word for word in words if word != END)])}
    # a word outside the world is an error and has no token: END replaces it and ends the turn
    tokenizer = Tokenizer(models.WordLevel(ranks, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


@dataclass(frozen=True)
class Batch:
    """N documents of at most L tokens as tensors, with a vocabulary of V words.

    Attributes:
        ids: token ids, shape (N, L), padded on the right.
        weights: loss weight of predicting the token at each position, shape (N, L).
        decisive: position of each answer, shape (N,).
        truth: probabilities of the answers, shape (N, V).
    """

    ids: torch.Tensor
    weights: torch.Tensor
    decisive: torch.Tensor
    truth: torch.Tensor


def make_batch(documents: Sequence[Document], ranks: dict[str, int], recipe: Recipe) -> Batch:
    """Convert documents to tensors, with the loss weights of a recipe."""
    length = max(len(document.words) for document in documents)
    ids = torch.zeros((len(documents), length), dtype=torch.long)
    weights = torch.zeros((len(documents), length))
    truth = torch.zeros((len(documents), len(ranks)))
    decisive = torch.tensor([document.decisive for document in documents])
    for row, document in enumerate(documents):
        n = len(document.words)
        ids[row, :n] = torch.tensor([ranks[word] for word in document.words])
        weights[row, 1:n] = recipe.context
        first, last = document.reasoning
        weights[row, first:last] = recipe.reasoning
        weights[row, document.decisive] = 0.0  # learnt from its true probabilities instead
        for word, share in document.truth.items():
            truth[row, ranks[word]] = share
    return Batch(ids, weights, decisive, truth)


def loss_of(logits: torch.Tensor, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Return the weighted cross-entropy, averaged over documents.

    The answer is learnt from its true probabilities and not from one draw, which removes the
    sampling noise. The rest is ordinary next-token prediction.

    Args:
        logits: shape (N, L, V).
        batch: the documents.
        recipe: the loss weights.
    """
    logs = torch.log_softmax(logits, dim=-1)
    following = logs[:, :-1].gather(2, batch.ids[:, 1:, None])[..., 0]
    scene = -(following * batch.weights[:, 1:]).sum()
    rows = torch.arange(len(batch.ids))
    answers = -(logs[rows, batch.decisive - 1] * batch.truth).sum()
    return (scene + recipe.decisive * answers) / len(batch.ids)


def train(
    model: GPTNeoXForCausalLM,
    documents: Iterator[Document],
    ranks: dict[str, int],
    recipe: Recipe,
    progress: Callable[[int], Any],
    save: Callable[[int], Any] = lambda step: None,
    snapshot: Path | None = None,
) -> None:
    """Train a model in place.

    Args:
        model: a model from `make_model`.
        documents: at least steps × batch documents, the same each time for the same model.
        ranks: word → token id.
        recipe: the hyperparameters.
        progress: called with the number of steps just finished.
        save: called after each step with its number, counted from 1.
        snapshot: file in which the training state is saved regularly. If it exists, training
            resumes from it. It is removed at the end.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    start = _restore(model, optimizer, recipe, snapshot)
    for _ in itertools.islice(documents, start * recipe.batch):
        pass  # skip the documents of the steps that are done
    progress(start)
    for step in range(start, recipe.steps):
        batch = make_batch(list(itertools.islice(documents, recipe.batch)), ranks, recipe)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step, model.config.hidden_size)
        loss = loss_of(model(input_ids=batch.ids).logits, batch, recipe)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        save(step + 1)
        progress(1)
        if snapshot is not None and (step + 1) % _SNAPSHOT_EVERY == 0:
            _keep(model, optimizer, recipe, step + 1, snapshot)
    if snapshot is not None:
        snapshot.unlink(missing_ok=True)


def _keep(
    model: GPTNeoXForCausalLM, optimizer: Any, recipe: Recipe, step: int, snapshot: Path
) -> None:
    with whole(snapshot) as part:
        torch.save(
            {
                "recipe": repr(recipe),
                "step": step,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            },
            part,
        )


def _restore(
    model: GPTNeoXForCausalLM, optimizer: Any, recipe: Recipe, snapshot: Path | None
) -> int:
    """Load a snapshot and return its number of finished steps; 0 if there is none to load.

    A snapshot that is damaged, or of another recipe or shape, is ignored.
    """
    if snapshot is None or not snapshot.is_file():
        return 0
    try:
        state = torch.load(snapshot, weights_only=True)
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        saved = {name: tensor.shape for name, tensor in state["model"].items()}
        if state["recipe"] != repr(recipe) or saved != shapes:
            return 0
        optimizer.load_state_dict(state["optimizer"])
        model.load_state_dict(state["model"])
        return int(state["step"])
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError):
        return 0
