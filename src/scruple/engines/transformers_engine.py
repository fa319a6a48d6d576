"""The reference engine: transformers, with packed prefix trees if the model supports them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from scruple.checkpoints.location import folder_of
from scruple.checkpoints.manifest import Manifest
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.engines import Finished, GenerateRequest, Generation, ScoreRequest, Scores
from scruple.engines.budget import default_tokens, free_memory, tokens_at_once
from scruple.engines.choose import choose_forward
from scruple.engines.continuation import Continuations
from scruple.engines.forward import Position
from scruple.engines.generation import Sampler
from scruple.engines.loading import check_memory, device_of, dtype_of, size_of
from scruple.engines.prefix_tree import Tokens
from scruple.engines.score_sums import ScoreSums
from scruple.engines.tokens import Encoded, encode, tokenise_prompts
from scruple.engines.weights import check_weights, tokens_known
from scruple.errors import ScrupleError
from scruple.study.settings import Compute, Decoding

log = logging.getLogger(__name__)

_UNLOADABLE = (
    OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError, UnpicklingError,
)  # fmt: skip


def load(manifest: Manifest, compute: Compute, threads: int, gpus: int) -> TransformersEngine:
    """Load a fetched checkpoint; see `scruple.engines.load_engine`."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    device, folder = device_of(compute), folder_of(manifest.location, manifest.manifest)
    options: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": manifest.code,
    }
    check_memory(manifest, dtype_of(compute, device), device)
    tokenizer = load_tokenizer(manifest.location).tokenizer
    # weights_only: PyTorch's restricted unpickler reads pickled weights and runs no code of theirs
    weights = {
        "dtype": dtype_of(compute, device),
        "output_loading_info": True,
        "weights_only": True,
        "ignore_mismatched_sizes": True,  # `check_weights` refuses them, by name
    }
    if device == "cuda":
        weights["device_map"] = "auto"
    expected = (Exception,) if manifest.code else _UNLOADABLE
    try:
        model, report = AutoModelForCausalLM.from_pretrained(folder, **weights, **options)
    except expected as error:
        raise ScrupleError(
            f"{manifest.checkpoint}: transformers cannot load {folder}: {error}"
        ) from None
    tied = bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    check_weights(manifest.checkpoint, folder, report, tied)
    size_of(model, manifest)
    budget = None if compute.batch_tokens == "auto" else compute.batch_tokens
    try:
        return TransformersEngine(model.eval(), tokenizer, budget)
    except ScrupleError as error:
        raise ScrupleError(f"{manifest.checkpoint}: {error}") from None


class TransformersEngine:
    """A causal language model of transformers; see `scruple.engines.Engine`."""

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int | None = None) -> None:
        """Wrap a loaded model.

        Args:
            model: a causal language model in evaluation mode.
            tokenizer: its tokenizer.
            batch_tokens: the most tokens of a batch, padding included; if None, it depends on the
                size of the model. On a GPU, the free memory limits how many tokens are processed
                at once.

        Raises:
            ScrupleError: if the model's architecture cannot be read, or its logits are not finite.
        """
        self.tokenizer = tokenizer
        self._model = model
        self._device = model.get_input_embeddings().weight.device
        self._rows = tokens_known(model)
        free = free_memory(model)
        at_once = tokens_at_once(model, batch_tokens, free)
        # on a CPU several packs at once are no faster, and a killed job would lose all of them
        several = at_once if free is not None else 0
        self._forward = choose_forward(model, batch_tokens or default_tokens(model), several)
        log.info("%s, %d tokens at once", self._forward.name, at_once)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        self._texts = Continuations(tokenizer, model.generation_config.eos_token_id)
        self._sampler = Sampler(model, self._forward, tokenizer, at_once)

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """Score candidates; see `scruple.engines.Engine.score`.

        A row is a context plus all tokens of one candidate except the last. Equal rows are run
        once; candidates with a single token and equal requests have equal rows.
        """
        encoded = encode(self.tokenizer, requests, self._rows)
        # row → (request, candidate) pairs that read their log-probabilities from it
        readers: dict[Tokens, list[tuple[int, int]]] = {}
        for i, request in enumerate(encoded):
            for j, candidate in enumerate(request.candidates):
                readers.setdefault(request.context + candidate[:-1], []).append((i, j))
        score_sums = ScoreSums(requests, encoded, lambda request: len(request.candidates))
        results: dict[int, Scores] = {}
        for batch in self._forward.batches(list(readers)):
            reads = [[(encoded[i], j) for i, j in readers[tokens]] for tokens in batch]
            sums = self._read(batch, reads)
            pairs = [pair for tokens in batch for pair in readers[tokens]]
            done = score_sums.add((*pair, value) for pair, value in zip(pairs, sums, strict=True))
            results |= done
            finished(done)
        return [results[i] for i in range(len(requests))]

    def _read(
        self, batch: Sequence[Tokens], reads: Sequence[Sequence[tuple[Encoded, int]]]
    ) -> list[float]:
        """Return the log-probabilities of the candidates, row by row.

        If the batch does not fit into memory, it is split into halves.

        Args:
            batch: the rows.
            reads: for each row, the (request, index of the candidate) pairs to score with it.
        """
        places: list[Position] = []
        tokens, owners = [], []
        flat = [(row, *read) for row, own in enumerate(reads) for read in own]
        for owner, (row, request, j) in enumerate(flat):
            first = len(request.context) - 1
            for k, token in enumerate(request.candidates[j]):
                places.append((row, first + k))
                tokens.append(token)
                owners.append(owner)
        failure: RuntimeError | None = None
        try:
            logits = self._forward.read(batch, places)
            values = logits.logprobs(torch.tensor(tokens)).cpu().numpy()
        except RuntimeError as error:
            failure = error.with_traceback(None)  # its frames would keep the memory allocated
        if failure is not None:
            half = self._half(failure, len(batch))
            return self._read(batch[:half], reads[:half]) + self._read(batch[half:], reads[half:])
        return [float(value) for value in np.bincount(owners, values, len(flat))]

    def _half(self, error: RuntimeError, rows: int) -> int:
        """Return how many rows to try next after a batch ran out of memory: half as many.

        Raises:
            ScrupleError: if the batch had only one row.
            RuntimeError: the given error, if it is not an out-of-memory error.
        """
        if not should_reduce_batch_size(error):
            raise error
        clear_device_cache()
        if rows == 1:
            raise ScrupleError(
                "a single prompt does not fit into memory; take a larger or a second GPU, or leave "
                "this checkpoint out."
            ) from None
        log.warning("out of memory with %d rows: going on with half as many", rows)
        return rows // 2

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, finished: Finished
    ) -> list[Generation]:
        """Sample continuations; see `scruple.engines.Engine.generate`."""
        prompts = tokenise_prompts(self.tokenizer, requests, self._rows)
        results: dict[int, Generation] = {}

        def pass_on(found: dict[int, list[int]]) -> None:
            done = {
                i: self._texts.finish(requests[i], prompts[i], sampled)
                for i, sampled in found.items()
            }
            results.update(done)
            finished(done)

        seeds = [request.seed for request in requests]
        endings = [self._texts.ending(request.marks) for request in requests]
        rows = self._sampler.most(prompts, decoding)
        while left := [i for i in range(len(requests)) if i not in results]:
            failure: RuntimeError | None = None
            try:
                self._sampler.run(left, prompts, seeds, endings, decoding, rows, pass_on)
            except RuntimeError as error:
                failure = error.with_traceback(None)
            if failure is not None:  # keep finished rows; a repeated row has the same draws
                rows = self._half(failure, min(rows, len(left)))
        return [results[i] for i in range(len(requests))]

    def describe(self) -> dict[str, Any]:
        """Return versions, device, dtype and size; see `scruple.engines.Engine.describe`."""
        name = "cpu"
        if self._device.type == "cuda":
            name = torch.cuda.get_device_name(self._device)
        return {
            "engine": f"transformers {transformers.__version__}, torch {torch.__version__}",
            "device": name,
            "threads": torch.get_num_threads(),
            "forward": self._forward.name,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "params": sum(parameter.numel() for parameter in self._model.parameters()),
        }
