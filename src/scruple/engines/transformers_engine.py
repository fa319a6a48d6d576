"""The reference engine: transformers, in plain batches sorted by length."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from scruple.engines import Finished, GenerateRequest, Generation, ScoreRequest, Scores
from scruple.engines.forward import Place, choose_forward
from scruple.engines.generation import Sampler
from scruple.engines.prefix_tree import Tokens
from scruple.engines.tokens import Encoded, encode, independent
from scruple.errors import ScrupleError
from scruple.study import Compute, Decoding

log = logging.getLogger(__name__)

_TAIL = 40  # characters of a prompt by whose side its candidates are told apart
_SPECIAL = 8  # tokens that a tokenizer may add to any text

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(manifest: dict[str, Any], compute: Compute, threads: int) -> TransformersEngine:
    """Load a fetched checkpoint; see `scruple.engines.load_engine`."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    device = _device(compute)
    dtype = _DTYPES.get(compute.dtype)
    if dtype is None:
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
    options: dict[str, Any] = {"local_files_only": True}
    if manifest.get("gguf"):
        options["gguf_file"] = manifest["gguf"]
    folder = manifest["folder"]
    if not Path(folder).is_dir():
        raise ScrupleError(
            f"{manifest['checkpoint']}: {folder} is gone since it was fetched; delete "
            f"{manifest['manifest']} and run again."
        )
    placement = {"device_map": "auto"} if device == "cuda" else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, **placement, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ScrupleError(
            f"{manifest['checkpoint']}: transformers cannot load {folder}: {error}"
        ) from None
    absent = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if absent:
        raise ScrupleError(
            f"{manifest['checkpoint']}: {folder} lacks {len(absent)} weights that its config.json "
            f"asks for (first: {absent[0]}); fetch the checkpoint again."
        )
    _check_size(model, manifest)
    return TransformersEngine(model.eval(), tokenizer, compute.batch_tokens)


def _device(compute: Compute) -> str:
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise ScrupleError(
            "config: `compute.device` is cuda, and PyTorch finds no GPU here: check the driver "
            "(nvidia-smi), or set it to cpu or auto."
        )
    return "cuda" if available and compute.device != "cpu" else "cpu"


def _check_size(model: Any, manifest: dict[str, Any]) -> None:
    """Refuse a checkpoint that is not of the size that the config gives: the figure's x axis."""
    params = sum(parameter.numel() for parameter in model.parameters())
    stated = int(manifest["params"])
    if abs(params - stated) > 0.02 * params:
        raise ScrupleError(
            f"config: checkpoint {manifest['checkpoint']} has {params:,} parameters, and the "
            f"config says `params: {stated}`; correct it, since figures are drawn against it."
        )


class TransformersEngine:
    """A causal language model of transformers; see `scruple.engines.Engine`."""

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int) -> None:
        """Wrap a loaded model.

        Args:
            model: a causal language model in evaluation mode.
            tokenizer: its tokenizer.
            batch_tokens: tokens, padding included, that one batch may hold.
        """
        self.tokenizer = tokenizer
        self._model = model
        self._batch_tokens = batch_tokens
        self._device = model.get_input_embeddings().weight.device
        self._forward = choose_forward(model, batch_tokens)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        ends = model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self._ends = sorted({*ends, tokenizer.eos_token_id} - {None})
        self._sampler = Sampler(model, self._forward, self._ends, tokenizer, batch_tokens)
        text_config = model.config.get_text_config()
        self._window = getattr(text_config, "max_position_embeddings", None)

    def check(self, requests: Sequence[ScoreRequest], reserve: int) -> None:
        """Refuse prompts that do not fit the window; see `scruple.engines.Engine.check`.

        Candidates are told apart by the end of a prompt, and a text of few bytes has few tokens: so
        few prompts need to be tokenised whole.
        """
        encode(
            self.tokenizer,
            [replace(request, prompt=request.prompt[-_TAIL:]) for request in requests],
        )
        if self._window is None:
            return
        near = [r for r in requests if _most_tokens(r) + reserve > self._window]
        for request, encoded in zip(near, encode(self.tokenizer, near), strict=True):
            longest = len(encoded.context) + max(len(c) for c in encoded.candidates) + reserve
            if longest > self._window:
                raise ScrupleError(
                    f"{request.key}: the prompt needs up to {longest} tokens, {reserve} of them "
                    f"for reasoning, and the model's window has {self._window}; leave the "
                    "benchmark or checkpoint out, or lower `decoding.max_new_tokens`."
                )

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """Score candidates; see `scruple.engines.Engine.score`.

        A row is a context with all tokens of one candidate but the last; rows that are equal, as
        those of one-token candidates and of equal requests are, run once.
        """
        encoded = encode(self.tokenizer, requests)
        # row → (request, candidate) pairs that read their log-probabilities from it
        readers: dict[Tokens, list[tuple[int, int]]] = {}
        for i, request in enumerate(encoded):
            for j, candidate in enumerate(request.candidates):
                readers.setdefault(request.context + candidate[:-1], []).append((i, j))
        logprobs: list[list[float]] = [[0.0] * len(e.candidates) for e in encoded]
        waiting = [len(e.candidates) for e in encoded]
        results: dict[int, Scores] = {}
        for batch in self._forward.batches(list(readers)):
            pairs = [(i, j) for tokens in batch for i, j in readers[tokens]]
            reads = [[(encoded[i], j) for i, j in readers[tokens]] for tokens in batch]
            sums = self._read(batch, reads)
            done: dict[int, Scores] = {}
            for (i, j), value in zip(pairs, sums, strict=True):
                if math.isnan(value):
                    raise ScrupleError(
                        f"{requests[i].key}: the checkpoint gives no probabilities (NaN): its "
                        "weights are damaged, or `compute.dtype` is too narrow for them; try "
                        "bfloat16 or float32."
                    )
                logprobs[i][j] = value
                waiting[i] -= 1
                if waiting[i] == 0:
                    done[i] = _scores(encoded[i], logprobs[i])
            results |= done
            finished(done)
        return [results[i] for i in range(len(requests))]

    def _read(
        self, batch: Sequence[Tokens], reads: Sequence[Sequence[tuple[Encoded, int]]]
    ) -> list[float]:
        """Return log-probabilities of candidates, of all rows one after the other.

        Args:
            batch: the rows.
            reads: per row the requests, and the numbers of their candidates, that it is read for.
        """
        places: dict[Place, int] = {}
        where, tokens, owners = [], [], []
        flat = [(row, *read) for row, own in enumerate(reads) for read in own]
        for owner, (row, request, j) in enumerate(flat):
            first = len(request.context) - 1
            for k, token in enumerate(request.candidates[j]):
                where.append(places.setdefault((row, first + k), len(places)))
                tokens.append(token)
                owners.append(owner)
        failure: RuntimeError | None = None
        try:
            logs = torch.log_softmax(self._forward.read(batch, list(places)).float(), dim=-1)
            chosen = torch.tensor(tokens).to(logs.device)
            values = logs[torch.tensor(where).to(logs.device), chosen].double().cpu().numpy()
        except RuntimeError as error:
            failure = error.with_traceback(None)  # whose frames would hold on to the memory
        if failure is not None:
            half = self._half(failure, len(batch))
            return self._read(batch[:half], reads[:half]) + self._read(batch[half:], reads[half:])
        return [float(value) for value in np.bincount(owners, values, len(flat))]

    def _half(self, error: RuntimeError, rows: int) -> int:
        """Return how many rows to go on with after a batch that did not fit into memory.

        Raises:
            ScrupleError: if the batch had one row.
            RuntimeError: the error itself, if it is another one.
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
        texts = {(request.prompt, request.special) for request in requests}
        tokens = {
            (text, special): tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])
            for text, special in texts
        }
        prompts = [tokens[request.prompt, request.special] for request in requests]
        results: dict[int, Generation] = {}

        def pass_on(found: dict[int, list[int]]) -> None:
            done = {i: self._finish(sampled, requests[i]) for i, sampled in found.items()}
            results.update(done)
            finished(done)

        seeds = [request.seed for request in requests]
        stops = [request.stop for request in requests]
        rows = self._sampler.most(prompts, decoding)
        while left := [i for i in range(len(requests)) if i not in results]:
            failure: RuntimeError | None = None
            try:
                self._sampler.run(left, prompts, seeds, stops, decoding, rows, pass_on)
            except RuntimeError as error:
                failure = error.with_traceback(None)
            if failure is not None:  # what was finished stays; a row's draws are the same again
                rows = self._half(failure, min(rows, len(left)))
        return [results[i] for i in range(len(requests))]

    def describe(self) -> dict[str, Any]:
        """Return device, dtype and size; see `scruple.engines.Engine.describe`."""
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

    def _finish(self, tokens: list[int], request: GenerateRequest) -> Generation:
        """Cut a sampled row at its end token and its stop text."""
        ended = tokens[-1] in self._ends
        length = len(tokens) - ended
        text = self.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        if request.stop is not None:
            text = text.split(request.stop)[0]
        return Generation(text.rstrip(), length)


def _most_tokens(request: ScoreRequest) -> int:
    """Return more tokens than a request can have: no tokenizer makes more than one of a byte."""
    candidate = max(len(form.encode()) for form in request.candidates)
    return len(request.prompt.encode()) + candidate + _SPECIAL


def _scores(encoded: Encoded, logprobs: list[float]) -> Scores:
    kept = independent(encoded.candidates)
    mass = sum(torch.tensor(logprobs[i], dtype=torch.float64).exp().item() for i in kept)
    firsts = [encoded.candidates.index(candidate) == i for i, candidate in
              enumerate(encoded.candidates)]  # fmt: skip
    return Scores(
        tuple(lp if first else float("-inf") for lp, first in zip(logprobs, firsts, strict=True)),
        tuple(len(candidate) for candidate in encoded.candidates),
        mass,
        len(encoded.context),
    )
