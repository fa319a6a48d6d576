"""Exact token counts of a benchmark, once its items and a tokenizer are on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from scruple.checkpoints.choice import names_in, tokenizer_files
from scruple.checkpoints.location import Location
from scruple.checkpoints.tokenizer import TokenizerAndWindow, load_tokenizer
from scruple.costs.demand import folder_here
from scruple.costs.workload import Workload
from scruple.engines.choose import PACK
from scruple.engines.prefix_tree import Tokens, count_nodes, plan_packs
from scruple.engines.tokens import encode, tokenise
from scruple.files import read_json, write_json
from scruple.progress import Bar
from scruple.prompts.files import dialogue_path, load_dialogue, prompt_path
from scruple.prompts.rendering import Renderer
from scruple.responses.trials import name_of, pieces, score_request
from scruple.study.families import Checkpoint, Hub, Writing
from scruple.study.model import Study
from scruple.study.settings import Benchmark


def local_tokenizer(checkpoint: Checkpoint, hub: Hub) -> Location | None:
    """Return where a checkpoint's tokenizer is on this machine; None if it is not here."""
    folder = folder_here(checkpoint, hub)
    if folder is None or not folder.is_dir():
        return None
    code = (checkpoint.hub or checkpoint.path) in hub.allow_code
    return Location(checkpoint.name, str(folder), checkpoint.file, code)


def tokenizer_key(location: Location) -> str:
    """Return a hash of a checkpoint's tokenizer, equal for all checkpoints that share it."""
    folder = Path(location.folder)
    names = [location.gguf] if location.gguf else tokenizer_files(names_in(folder))
    content = hashlib.sha256()
    for path in (folder / name for name in names):
        if path.is_file():
            content.update(path.name.encode())
            # the start of a GGUF file holds the vocabulary; the weights after it do not matter
            with path.open("rb") as file:
                content.update(file.read(8 << 20) if location.gguf else file.read())
    return content.hexdigest()


def counted(
    study: Study,
    benchmark: Benchmark,
    items: Path,
    location: Location,
    writing: Writing,
    memory: Path,
    bar: Bar,
) -> Workload:
    """Return a checkpoint's workload on a benchmark, counted with its own tokenizer.

    Counting takes as long as tokenising, so counts are saved and reused.

    Args:
        study: the study, with conditions, wordings and decoding.
        benchmark: the benchmark.
        items: file of its items.
        location: location of the tokenizer.
        writing: how turns are written for the checkpoint.
        memory: folder of saved counts.
        bar: creates a progress bar.

    Raises:
        ScrupleError: if the tokenizer cannot be read or cannot distinguish the candidates.
    """
    asked = {
        "conditions": study.conditions, "wordings": study.wordings,
        "decoding": study.decoding.model_dump(), "scoring": benchmark.scoring,
        "orders": benchmark.orders, "writing": writing, "tokenizer": tokenizer_key(location),
        "prompts": [
            path.read_text(encoding="utf-8")
            for path in (prompt_path(study, benchmark), dialogue_path(study, benchmark))
        ],
        "items": hashlib.sha256(items.read_bytes()).hexdigest(),
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:24]
    earlier = memory / f"{benchmark.name}-{key}.json"
    if earlier.is_file():
        return Workload(**read_json(earlier))
    found = count(study, benchmark, pd.read_parquet(items), load_tokenizer(location), writing, bar)
    write_json(earlier, asdict(found))
    return found


def count(
    study: Study,
    benchmark: Benchmark,
    items: pd.DataFrame,
    loaded: TokenizerAndWindow,
    writing: Writing,
    bar: Bar,
) -> Workload:
    """Count rows and tokens as the transformers engine packs them, with reasoning at its maximum.

    Args:
        study: the study, with conditions, wordings and decoding.
        benchmark: the benchmark.
        items: its items.
        loaded: the checkpoint's tokenizer and context window.
        writing: how turns are written for the checkpoint.
        bar: creates a progress bar.
    """
    renderer = Renderer(writing, load_dialogue(study, benchmark), loaded.tokenizer, "the plan")
    thoughts = study.decoding.max_new_tokens
    prompts = rows = distinct = sampled = 0
    length = 0
    progress = bar(f"counting {benchmark.name}", len(items))
    seen: set[str] = set()
    for trials in pieces(study, benchmark, items):
        requests = [
            score_request(trial, renderer, "", name_of(trial, "the plan")) for trial in trials
        ]
        leaves: dict[Tokens, int] = {}
        for trial, request in zip(trials, encode(loaded.tokenizer, requests), strict=True):
            more = thoughts if trial.reasons else 0
            for candidate in request.candidates:
                leaves[request.context + candidate[:-1]] = more
            distinct += more
        prompts += len(trials)
        rows += len(leaves)
        length += sum(len(row) + more for row, more in leaves.items())
        distinct += _nodes(list(leaves))
        draws = {trial.draw: trial for trial in trials if trial.reasons}
        texts = sorted({renderer.reasoning_prompt(trial.turns) for trial in draws.values()})
        if texts:
            distinct += _nodes(sorted(set(tokenise(loaded.tokenizer, texts, renderer.special))))
        sampled += thoughts * len(draws)
        before = len(seen)
        seen.update(trial.keys[0] for trial in trials)
        progress(len(seen) - before)
    return Workload(len(items), prompts, rows, distinct, sampled, length / max(rows, 1), "counted")


def _nodes(rows: Sequence[Tokens]) -> int:
    """Return the number of tokens in the prefix trees into which rows are packed."""
    return sum(count_nodes(pack) for pack in plan_packs(rows, PACK))
