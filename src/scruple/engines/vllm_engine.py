"""The vLLM engine: optional, for large checkpoints on GPUs.

vLLM reuses shared prefixes (prefix caching) and does its own batching. Scored log-probabilities
equal those of the reference engine up to rounding. Sampled reasoning has the same distribution but
different draws, since vLLM has its own random number generator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from scruple.checkpoints.location import folder_of
from scruple.checkpoints.manifest import Manifest
from scruple.engines import Finished, GenerateRequest, Generation, ScoreRequest, Scores
from scruple.engines.continuation import Continuations
from scruple.engines.loading import check_memory, device_of, dtype_of, size_of
from scruple.engines.prefix_tree import Tokens
from scruple.engines.score_sums import ScoreSums
from scruple.engines.tokens import encode, tokenise_prompts
from scruple.errors import ScrupleError
from scruple.study.settings import Compute, Decoding

_MOST_IDS = 128
"""The most tokens per request whose log-probabilities vLLM returns."""
_CPU_CACHE = "2"
"""GB for keys and values on a CPU, unless the user has set VLLM_CPU_KVCACHE_SPACE."""


def load(manifest: Manifest, compute: Compute, threads: int, gpus: int) -> VllmEngine:
    """Load a fetched checkpoint; see `scruple.engines.load_engine`."""
    device, folder = device_of(compute), folder_of(manifest.location, manifest.manifest)
    code = manifest.code
    check_memory(manifest, dtype_of(compute, device), device)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=code)
        with torch.device("meta"):  # no weights, only shapes
            shapes = AutoModelForCausalLM.from_config(config, trust_remote_code=code)
    except (OSError, ValueError, KeyError) as error:
        raise ScrupleError(f"{manifest.checkpoint}: {folder}: {error}") from None
    params = size_of(shapes, manifest)
    _prepare(device, threads)
    try:
        import vllm
    except ImportError as error:
        raise ScrupleError(
            f"config: `compute.engine` is vllm, and it cannot be imported ({error}); "
            "docs/config.md says how to install it, or set the engine to transformers."
        ) from None
    dtype = str(dtype_of(compute, device)).removeprefix("torch.")
    try:
        model = vllm.LLM(
            folder, dtype=dtype, tensor_parallel_size=max(1, gpus) if device == "cuda" else 1,
            enable_prefix_caching=True, enforce_eager=device == "cpu", seed=0,
            trust_remote_code=code,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        raise ScrupleError(f"{manifest.checkpoint}: vLLM cannot load {folder}: {error}") from None
    return VllmEngine(model, params, device, threads, _ends(folder))


def _ends(folder: str) -> Any:
    """Return the end tokens of the checkpoint's generation config; None without one."""
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except (OSError, ValueError):
        return None


def _prepare(device: str, threads: int) -> None:
    """Set the number of CPU threads and the environment variables that vLLM reads on import.

    Variables that are already set keep their values.
    """
    settings = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        # run in this process, so that a killed job leaves no processes behind
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    if device == "cpu":
        settings |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": _CPU_CACHE,
            "OMP_NUM_THREADS": str(threads),
        }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    torch.set_num_threads(threads)


class VllmEngine:
    """A causal language model in vLLM; see `scruple.engines.Engine`."""

    def __init__(self, model: Any, params: int, device: str, threads: int, ends: Any) -> None:
        """Wrap a loaded model.

        Args:
            model: a `vllm.LLM`.
            params: its number of parameters.
            device: `cuda` or `cpu`.
            threads: the number of CPU threads.
            ends: the end tokens of its generation config.
        """
        self._model = model
        self._facts = (params, device, threads)
        self.tokenizer = model.get_tokenizer()
        self._texts = Continuations(self.tokenizer, ends)

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """Score candidates; see `scruple.engines.Engine.score`.

        vLLM generates one token after each distinct text that precedes a token of a candidate, and
        returns the log-probabilities of all tokens that any candidate has there. More than
        `_MOST_IDS` tokens take several requests.
        """
        encoded = encode(self.tokenizer, requests)
        # text before a token → (request, candidate, token) triples to score after it
        readers: dict[Tokens, list[tuple[int, int, int]]] = {}
        for i, request in enumerate(encoded):
            for j, candidate in enumerate(request.candidates):
                for k, token in enumerate(candidate):
                    before = request.context + candidate[:k]
                    readers.setdefault(before, []).append((i, j, token))
        asked = [
            (before, ids)
            for before in sorted(readers)
            for ids in _cut(sorted({token for _, _, token in readers[before]}))
        ]
        totals = ScoreSums(requests, encoded, lambda request: sum(map(len, request.candidates)))
        results: dict[int, Scores] = {}
        prompts = [before for before, _ in asked]
        settings = [
            {"max_tokens": 1, "temperature": 0, "logprob_token_ids": ids} for _, ids in asked
        ]
        for number, output in self._run(prompts, settings):
            before, ids = asked[number]
            found = output.logprobs[0]
            done = totals.add(
                (i, j, found[token].logprob) for i, j, token in readers[before] if token in ids
            )
            results |= done
            finished(done)
        return [results[i] for i in range(len(requests))]

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, finished: Finished
    ) -> list[Generation]:
        """Sample continuations; see `scruple.engines.Engine.generate`."""
        prompts = tokenise_prompts(self.tokenizer, requests)
        endings = [self._texts.ending(request.marks) for request in requests]
        settings = [
            {
                "max_tokens": decoding.max_new_tokens,
                "temperature": decoding.temperature,
                "top_p": decoding.top_p,
                # vLLM takes signed 64-bit seeds
                "seed": request.seed % 2**63,
                "stop": list(ending.texts),
                "stop_token_ids": list(ending.tokens),
            }
            for request, ending in zip(requests, endings, strict=True)
        ]
        results: dict[int, Generation] = {}
        for number, output in self._run(prompts, settings):
            sampled = list(output.token_ids)
            results[number] = self._texts.finish(requests[number], prompts[number], sampled)
            finished({number: results[number]})
        return [results[i] for i in range(len(requests))]

    def describe(self) -> dict[str, Any]:
        """Return versions, device, dtype and size; see `scruple.engines.Engine.describe`."""
        import vllm

        params, device, threads = self._facts
        return {
            "engine": f"vllm {vllm.__version__}, transformers {transformers.__version__}, "
            f"torch {torch.__version__}",
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "threads": threads,
            "forward": "prefix caching",
            "dtype": str(self._model.llm_engine.model_config.dtype).removeprefix("torch."),
            "params": params,
        }

    def _run(
        self, prompts: Sequence[Tokens], settings: Sequence[dict[str, Any]]
    ) -> Iterator[tuple[int, Any]]:
        """Yield the index and output of each request as soon as it is finished."""
        from vllm import SamplingParams

        engine = self._model.llm_engine
        for number, (prompt, options) in enumerate(zip(prompts, settings, strict=True)):
            params = SamplingParams(detokenize=bool(options.get("stop")), **options)
            engine.add_request(str(number), {"prompt_token_ids": list(prompt)}, params)
        while engine.has_unfinished_requests():
            for done in engine.step():
                if done.finished:
                    yield int(done.request_id), done.outputs[0]


def _cut(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _MOST_IDS):
        yield ids[start : start + _MOST_IDS]
