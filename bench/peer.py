"""lm-evaluation-harness on the same checkpoint, with the same prompts as tasks of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM

from scruple.engines import GenerateRequest, ScoreRequest
from scruple.study.settings import Decoding


class Timed(HFLM):
    """The harness's wrapper of a model, with the CPU seconds of its last call in `cpu_s`."""

    cpu_s = 0.0

    def loglikelihood(self, *args: Any, **options: Any) -> Any:
        """See `lm_eval.api.model.LM`."""
        with self._timed():
            return super().loglikelihood(*args, **options)

    def generate_until(self, *args: Any, **options: Any) -> Any:
        """See `lm_eval.api.model.LM`."""
        with self._timed():
            return super().generate_until(*args, **options)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.process_time()
        yield
        self.cpu_s = time.process_time() - start


def wrap(model: Any, tokenizer: Any, batch: int) -> Timed:
    """Wrap a loaded model for the harness."""
    return Timed(pretrained=model, tokenizer=tokenizer, batch_size=batch, backend="causal")


def choose(lm: HFLM, requests: Sequence[ScoreRequest], folder: Path) -> list[list[float]]:
    """Run a multiple-choice task; return the log-probabilities of every request's candidates.

    The harness scores all single-token candidates of a request with one forward pass.
    """
    docs = [
        {"prompt": request.prompt, "choices": list(request.candidates), "gold": 0}
        for request in requests
    ]
    task = _task(folder, docs) | {
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
    }
    samples = _run(lm, task)
    return [[float(pair[0]) for pair in sample["filtered_resps"]] for sample in samples]


def continue_texts(
    lm: HFLM, requests: Sequence[GenerateRequest], decoding: Decoding, folder: Path
) -> list[str]:
    """Run a generation task; return the continuations."""
    task = _task(folder, [{"prompt": request.prompt} for request in requests]) | {
        "output_type": "generate_until",
        "doc_to_target": "",
        "generation_kwargs": {
            "until": [],
            "do_sample": True,
            "temperature": decoding.temperature,
            "max_gen_toks": decoding.max_new_tokens,
        },
        "metric_list": [{"metric": "bypass"}],
    }
    return [sample["resps"][0][0] for sample in _run(lm, task)]


def _task(folder: Path, docs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    path = folder / "docs.jsonl"
    path.write_text("".join(json.dumps(doc) + "\n" for doc in docs), encoding="utf-8")
    return {
        "task": "scruple_prompts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(folder)},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "target_delimiter": "",
        "num_fewshot": 0,
    }


def _run(lm: HFLM, task: dict[str, Any]) -> list[dict[str, Any]]:
    results = simple_evaluate(
        lm, tasks=[task], bootstrap_iters=0, log_samples=True, random_seed=None,
        torch_random_seed=None, numpy_random_seed=None,
    )  # fmt: skip
    samples = results["samples"]["scruple_prompts"]
    return sorted(samples, key=lambda sample: sample["doc_id"])
