"""The interface of the engines, which score candidates and sample text with a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from scruple.checkpoints.manifest import Manifest
from scruple.prompts.marks import Marks
from scruple.study.settings import Compute, Decoding


@dataclass(frozen=True)
class ScoreRequest:
    """A prompt and the candidates to score as its continuation.

    Attributes:
        key: the name of the request in messages.
        prompt: the text up to the candidates.
        candidates: the surface forms, in any order.
        answers: the answer that each candidate stands for, same length as `candidates`.
        special: whether the tokenizer adds its special tokens to the prompt.
    """

    key: str
    prompt: str
    candidates: tuple[str, ...]
    answers: tuple[str, ...]
    special: bool


@dataclass(frozen=True)
class Scores:
    """The result of a score request.

    Attributes:
        logprobs: natural log-probability of each candidate as the continuation of the prompt;
            −inf for a candidate with the same tokens as an earlier one of the same answer.
        tokens: the number of tokens of each candidate.
        valid_mass: the probability that the continuation begins with any of the candidates.
        prompt_tokens: the number of tokens before the candidates.
    """

    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]
    valid_mass: float
    prompt_tokens: int


@dataclass(frozen=True)
class GenerateRequest:
    """A prompt to continue by sampling, with its own seed.

    Attributes:
        key: the name of the request in messages.
        prompt: the text to continue.
        seed: the random seed of this request; its draws do not depend on the rest of the batch.
        special: whether the tokenizer adds its special tokens to the prompt.
        marks: where the turn that is continued ends, beside the tokenizer's end token.
    """

    key: str
    prompt: str
    seed: int
    special: bool
    marks: Marks


@dataclass(frozen=True)
class Generation:
    """A sampled continuation.

    Attributes:
        text: the text, up to where the turn ends.
        tokens: the number of sampled tokens, without an end token.
        ended: why it ends: `end` (the turn ended), `turn` (it ran on into another turn, and was cut
            there) or `length` (it reached the maximum number of tokens).
    """

    text: str
    tokens: int
    ended: str


Finished = Callable[[Mapping[int, Any]], Any]
"""Called with each batch of results: index of the request → its result."""


class Engine(Protocol):
    """A loaded checkpoint that scores candidates and samples text."""

    tokenizer: Any

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """Return the candidates' log-probabilities, one result per request, in order.

        Args:
            requests: the prompts and candidates to score.
            finished: called with results as soon as they are ready, once per result.
        """
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, finished: Finished
    ) -> list[Generation]:
        """Return one sampled continuation per request, in order.

        Args:
            requests: the prompts to continue.
            decoding: temperature, top-p and the maximum number of new tokens.
            finished: called with results as soon as they are ready, once per result.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return facts for the provenance, such as device, dtype and number of parameters."""
        ...


def load_engine(manifest: Manifest, compute: Compute, threads: int, gpus: int = 1) -> Engine:
    """Load a fetched checkpoint into the engine that the config names.

    Args:
        manifest: the manifest from `fetch_checkpoint`.
        compute: engine, device, dtype and batch size.
        threads: the number of CPU threads that the job may use.
        gpus: the number of GPUs that the job may use.

    Raises:
        ScrupleError: if the checkpoint cannot be loaded, or the configured device is unavailable.
    """
    module = import_module(f"scruple.engines.{compute.engine}_engine")
    engine: Engine = module.load(manifest, compute, threads, gpus)
    return engine
