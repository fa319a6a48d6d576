"""The reference engine: transformers, in plain batches sorted by length."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessorList

from scruple.engines import GenerateRequest, Generation, Progress, ScoreRequest, Scores
from scruple.engines.sampling import SeededSampling
from scruple.engines.tokens import Encoded, encode, independent
from scruple.errors import ScrupleError
from scruple.study import Compute, Decoding

Tokens = tuple[int, ...]

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
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        ends = model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self._ends = sorted({*ends, tokenizer.eos_token_id} - {None})
        # a checkpoint's own settings may hold penalties, which would fill in what is not set here
        model.generation_config = GenerationConfig()
        text_config = model.config.get_text_config()
        self._window = getattr(text_config, "max_position_embeddings", None)

    def check(self, requests: Sequence[ScoreRequest], reserve: int) -> None:
        """Refuse prompts that do not fit the window; see `scruple.engines.Engine.check`."""
        for request, encoded in zip(requests, encode(self.tokenizer, requests), strict=True):
            longest = len(encoded.context) + max(len(c) for c in encoded.candidates) + reserve
            if self._window is not None and longest > self._window:
                raise ScrupleError(
                    f"{request.key}: the prompt needs up to {longest} tokens, {reserve} of them "
                    f"for reasoning, and the model's window has {self._window}; leave the "
                    "benchmark or checkpoint out, or lower `decoding.max_new_tokens`."
                )

    def score(self, requests: Sequence[ScoreRequest], progress: Progress) -> list[Scores]:
        """Score candidates; see `scruple.engines.Engine.score`.

        A row is a context with all tokens of one candidate but the last; rows that are equal, as
        those of one-token candidates are, run once.
        """
        encoded = encode(self.tokenizer, requests)
        # row → (request, candidate) pairs that read their log-probabilities from it
        readers: dict[Tokens, list[tuple[int, int]]] = {}
        for i, request in enumerate(encoded):
            for j, candidate in enumerate(request.candidates):
                readers.setdefault(request.context + candidate[:-1], []).append((i, j))
        logprobs: list[list[float]] = [[0.0] * len(e.candidates) for e in encoded]
        waiting = [len(e.candidates) for e in encoded]
        for batch in self._batches(sorted(readers, key=lambda row: (-len(row), row))):
            starts = [min(len(encoded[i].context) for i, _ in readers[row]) for row in batch]
            for row, logits, start in self._forward(batch, min(starts) - 1):
                done = 0
                for i, j in readers[row]:
                    candidate = torch.tensor(encoded[i].candidates[j], device=logits.device)
                    first = len(encoded[i].context) - 1 - start
                    at = logits[first : first + len(candidate)]
                    logprobs[i][j] = float(at.gather(1, candidate[:, None]).double().sum())
                    if math.isnan(logprobs[i][j]):
                        raise ScrupleError(
                            f"{requests[i].key}: the checkpoint gives no probabilities (NaN): its "
                            "weights are damaged, or `compute.dtype` is too narrow for them; try "
                            "bfloat16 or float32."
                        )
                    waiting[i] -= 1
                    done += waiting[i] == 0
                progress(done)
        return [_scores(*pair) for pair in zip(encoded, logprobs, strict=True)]

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, progress: Progress
    ) -> list[Generation]:
        """Sample continuations; see `scruple.engines.Engine.generate`."""
        texts = {(request.prompt, request.special) for request in requests}
        tokens = {
            (text, special): tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])
            for text, special in texts
        }
        prompts = [tokens[request.prompt, request.special] for request in requests]
        order = sorted(range(len(requests)), key=lambda i: (-len(prompts[i]), i))
        results: dict[int, Generation] = {}
        room = decoding.max_new_tokens
        for numbers in self._batches(order, length=lambda i: len(prompts[i]) + room):
            batch = [requests[i] for i in numbers]
            texts = self._sample([prompts[i] for i in numbers], batch, decoding)
            results |= dict(zip(numbers, texts, strict=True))
            progress(len(numbers))
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
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "params": sum(parameter.numel() for parameter in self._model.parameters()),
        }

    def _batches(self, rows: Sequence[Any], length: Any = len) -> Iterator[list[Any]]:
        """Cut rows, longest first, into batches of at most `batch_tokens`; one row at least."""
        batch: list[Any] = []
        for row in rows:
            if batch and length(batch[0]) * (len(batch) + 1) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    @torch.inference_mode()
    def _forward(
        self, batch: Sequence[Tokens], start: int
    ) -> Iterator[tuple[Tokens, torch.Tensor, int]]:
        """Yield (row, log-probabilities, start): of shape (len(row) − start, vocabulary).

        Position k of them is the distribution of the token after row[start + k]. Padding stands
        on the right, where a causal model cannot see it.
        """
        width = max(len(row) for row in batch)
        ids = torch.full((len(batch), width), self.tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for i, row in enumerate(batch):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        options: dict[str, Any] = {"use_cache": False}
        if self._keeps_logits:
            options["logits_to_keep"] = width - start
        logits = self._model(
            input_ids=ids.to(self._device), attention_mask=mask.to(self._device), **options
        ).logits
        if not self._keeps_logits:
            logits = logits[:, start:]
        for i, row in enumerate(batch):
            yield row, torch.log_softmax(logits[i, : len(row) - start].float(), dim=-1), start

    @torch.inference_mode()
    def _sample(
        self, prompts: list[Tokens], batch: list[GenerateRequest], decoding: Decoding
    ) -> list[Generation]:
        width = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):  # on the left, so that all rows go on together
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        stop = batch[0].stop
        sampling = SeededSampling([request.seed for request in batch], width, decoding)
        output = self._model.generate(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            generation_config=GenerationConfig(
                max_new_tokens=decoding.max_new_tokens,
                do_sample=False,
                eos_token_id=self._ends or None,
                pad_token_id=self.tokenizer.pad_token_id,
            ),
            logits_processor=LogitsProcessorList([sampling]),
            **({"stop_strings": [stop], "tokenizer": self.tokenizer} if stop else {}),
        )
        return [
            self._finish(row[width:].tolist(), request)
            for row, request in zip(output, batch, strict=True)
        ]

    def _finish(self, tokens: list[int], request: GenerateRequest) -> Generation:
        """Cut a sampled row at its end token and its stop text."""
        ends = {*self._ends, self.tokenizer.pad_token_id}
        length = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        text = self.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        if request.stop is not None:
            text = text.split(request.stop)[0]
        return Generation(text.rstrip(), length)


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
