"""How a checkpoint answers: the interface, and the engines behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from scruple.checkpoints.manifest import Manifest
from scruple.study.settings import Compute, Decoding


@dataclass(frozen=True)
class ScoreRequest:
    """A text and the candidates that may continue it.

    Attributes:
        key: names the request in messages.
        prompt: the text up to the candidates.
        candidates: their surface forms, in any order.
        answers: the answer that each candidate is a form of, same length.
        special: whether the tokenizer adds its special tokens to the prompt.
    """

    key: str
    prompt: str
    candidates: tuple[str, ...]
    answers: tuple[str, ...]
    special: bool


@dataclass(frozen=True)
class Scores:
    """What a score request yields.

    Attributes:
        logprobs: log-probability (natural) of each candidate as the continuation of the prompt;
            −inf for a form that has the same tokens as an earlier one of its answer.
        tokens: number of tokens of each candidate.
        valid_mass: probability that the continuation begins with any of the candidates.
        prompt_tokens: tokens before the candidates.
    """

    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]
    valid_mass: float
    prompt_tokens: int


@dataclass(frozen=True)
class GenerateRequest:
    """A text to continue by sampling, with a seed of its own.

    Attributes:
        key: names the request in messages.
        prompt: the text to continue.
        seed: decides the draws of this request alone, whatever is computed beside it.
        special: whether the tokenizer adds its special tokens to the prompt.
        stop: text that ends the continuation and is cut off; None to rely on the end token.
    """

    key: str
    prompt: str
    seed: int
    special: bool
    stop: str | None


@dataclass(frozen=True)
class Generation:
    """A sampled continuation and its number of tokens."""

    text: str
    tokens: int


Finished = Callable[[Mapping[int, Any]], Any]
"""Called with results as they come: number of the request → its result."""


class Engine(Protocol):
    """A loaded checkpoint that scores candidates and samples text."""

    tokenizer: Any

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """Return the candidates' log-probabilities, one result per request, in order.

        Args:
            requests: what is asked.
            finished: called with results as they come, each of them once.
        """
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, finished: Finished
    ) -> list[Generation]:
        """Return one sampled continuation per request, in order.

        Args:
            requests: what to continue.
            decoding: how.
            finished: called with results as they come, each of them once.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what the provenance should say: device, dtype, number of parameters."""
        ...


def load_engine(manifest: Manifest, compute: Compute, threads: int, gpus: int = 1) -> Engine:
    """Load a fetched checkpoint into the engine that the config names.

    Args:
        manifest: what `fetch_checkpoint` wrote.
        compute: engine, device, dtype and batch size.
        threads: CPU threads that the job may use.
        gpus: GPUs that it may use.

    Raises:
        ScrupleError: if the checkpoint cannot be loaded, or not on the device asked for.
    """
    module = import_module(f"scruple.engines.{compute.engine}_engine")
    engine: Engine = module.load(manifest, compute, threads, gpus)
    return engine
