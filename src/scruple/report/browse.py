"""Single responses for the report: a random sample of the items, in a compact format.

Columns hold numbers or indices into lists of names. Texts (prompts, reasoning) are compressed in
pieces, which the browser decompresses when a reader opens them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.tally import probabilities
from scruple.responses.trials import build_trials
from scruple.study.model import Benchmark, Study

MOST = 100_000
"""Approximate limit of responses on a page; a larger study shows a random sample of its items."""
_PIECE = 400
"""Number of texts that are compressed together."""
_KEYS = ("item_id", "condition", "wording", "scoring", "order")
_NAMES = ("benchmark", "family", "checkpoint", "condition", "wording", "scoring", "item", "role",
          "answer", "expected", "options")  # fmt: skip


def packed(content: Any) -> str:
    """Encode plain data as JSON, gzip and base64; the same data always gives the same text."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def browse(
    study: Study,
    items: Mapping[str, Path],
    responses: Mapping[tuple[str, str, str], Path],
    most: int = MOST,
) -> dict[str, Any]:
    """Return the data for the table of single responses on the page.

    Args:
        study: the study.
        items: benchmark → file of its items.
        responses: (family, checkpoint, benchmark) → file of responses.
        most: approximate limit of responses.

    Returns:
        `rows` and `all`: the numbers of responses shown and in the study. `names`: lists of names.
        `table`: packed JSON with a column per key, of numbers or of indices into `names`; some
        columns hold a response's probabilities and the numbers of its texts. `texts`: packed pieces
        of `size` texts each.
    """
    texts = _Texts()
    rows: list[dict[str, Any]] = []
    counts = {key: _count(path) for key, path in responses.items()}
    total = sum(counts.values())
    for benchmark in study.benchmarks:
        mine = {key: path for key, path in responses.items() if key[2] == benchmark.name}
        if not mine:
            continue
        table = pd.read_parquet(items[benchmark.name])
        share = 1.0 if total <= 1.1 * most else most / total
        chosen = table[table["item_id"].isin(_chosen(study, list(table["item_id"]), share))]
        prompts = _prompts(study, benchmark, chosen, texts)
        for (family, checkpoint, name), path in mine.items():
            answers = pd.read_parquet(path)
            answers = answers[answers["item_id"].isin(chosen["item_id"])]
            for row in _rows(benchmark, chosen, answers, prompts, texts):
                rows.append({"benchmark": name, "family": family, "checkpoint": checkpoint, **row})
    names = {name: sorted({row[name] for row in rows}) for name in _NAMES}
    place = {name: {value: k for k, value in enumerate(names[name])} for name in _NAMES}
    columns: dict[str, list[Any]] = {
        name: [place[name][row[name]] for row in rows] for name in _NAMES
    }
    for name in ("order", "sample", "p", "valid", "prompt", "reasoning", "tokens"):
        columns[name] = [row[name] for row in rows]
    return {
        "rows": len(rows),
        "all": total,
        "names": names,
        "table": packed(columns),
        "texts": texts.pieces(),
        "size": _PIECE,
    }


class _Texts:
    """A numbered list of distinct texts."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Return the number of a text, adding it if it is new."""
        return self._numbers.setdefault(text, len(self._numbers))

    def pieces(self) -> list[str]:
        """Return all texts in packed pieces."""
        every = list(self._numbers)
        return [packed(every[k : k + _PIECE]) for k in range(0, len(every), _PIECE)]


def _count(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _chosen(study: Study, names: Sequence[str], share: float) -> list[str]:
    """Sample a share of the items by hash, so that no choice depends on the other items."""
    if share >= 1:
        return list(names)
    limit = int(share * 2**64)

    def place(name: str) -> int:
        digest = hashlib.blake2b(f"{study.seed}|{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")

    return [name for name in names if place(name) < limit]


def _prompts(
    study: Study, benchmark: Benchmark, items: pd.DataFrame, texts: _Texts
) -> dict[tuple[Any, ...], int]:
    """Return item, condition, wording, scoring and order → the number of the prompt's text.

    The text is a JSON list of the human's turn, the opening of the reasoning, the human's turn
    after the reasoning, and the opening of the answer.
    """
    found = {}
    for trial in build_trials(study, benchmark, items):
        if trial.keys[5] == 0:
            turns = trial.turns
            parts = [turns.human, turns.opening, turns.final, turns.lead_in]
            found[trial.keys[:5]] = texts.add(json.dumps(parts, ensure_ascii=False))
    return found


def _rows(
    benchmark: Benchmark,
    items: pd.DataFrame,
    answers: pd.DataFrame,
    prompts: Mapping[tuple[Any, ...], int],
    texts: _Texts,
) -> Iterator[dict[str, Any]]:
    module = benchmark_module(benchmark.kind)
    p = probabilities(answers, module.ANSWERS)
    of: dict[Any, Any] = {item["item_id"]: item for item in items.to_dict("records")}
    for number, row in enumerate(answers.to_dict("records")):
        shown, reasoning = module.shown(of[row["item_id"]]), row.get("reasoning")
        yield {
            "item": row["item_id"],
            "condition": row["condition"],
            "wording": row["wording"],
            "scoring": row["scoring"],
            "order": int(row["order"]),
            "sample": int(row["sample"]),
            "role": shown.roles[row["answer"]],
            "answer": shown.texts[row["answer"]],
            "expected": shown.texts.get(row["target"] or shown.right, ""),
            "options": json.dumps(list(shown.texts.values()), ensure_ascii=False),
            "p": [round(float(value), 4) for value in p[number]],
            "valid": None if math.isnan(row["valid_mass"]) else round(row["valid_mass"], 4),
            "prompt": prompts[tuple(row[key] for key in _KEYS)],
            "reasoning": texts.add(reasoning) if isinstance(reasoning, str) else -1,
            "tokens": int(row["prompt_tokens"]),
        }
