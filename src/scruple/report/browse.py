"""Single responses for the report: a random part of the items, packed small.

Columns of numbers and of places in lists of names, and texts (prompts, reasoning) in pieces that a
browser unpacks when they are looked at.
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

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.tally import probabilities
from scruple.responses import build_asks
from scruple.study import Benchmark, Study

MOST = 100_000
"""Responses in a page; of a larger study a random part of the items, the same at every checkpoint."""
_PIECE = 400
"""Texts that are unpacked together."""
_KEYS = ("item_id", "condition", "wording", "scoring", "order")
_NAMES = ("benchmark", "family", "checkpoint", "condition", "wording", "scoring", "item", "answer",
          "expected")  # fmt: skip


def packed(text: str) -> str:
    """Compress a text, the same bytes for the same text, and write it in base64."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def browse(
    study: Study,
    items: Mapping[str, Path],
    responses: Mapping[tuple[str, str, str], Path],
    most: int = MOST,
) -> dict[str, Any]:
    """Return what the page's browser of single responses shows.

    Args:
        study: the study.
        items: benchmark → file of its items.
        responses: (family, checkpoint, benchmark) → file of responses.
        most: how many responses there may be.

    Returns:
        `rows`, `all` (numbers of responses shown and in the study), `names` (lists of names),
        `table` (packed JSON: a column per key, of places in `names` or of numbers, and per response
        its probabilities, and which texts it has), `texts` (packed pieces of `size` texts).
    """
    texts = _Texts()
    rows: list[dict[str, Any]] = []
    counts = {key: _count(path) for key, path in responses.items()}
    total = sum(counts.values())
    for benchmark in study.benchmarks:
        mine = {key: path for key, path in responses.items() if key[2] == benchmark.name}
        table = pd.read_parquet(items[benchmark.name])
        share = min(1.0, most / max(total, 1))
        chosen = table[table["item_id"].isin(_chosen(study, table["item_id"], share))]
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
    for name in ("order", "sample", "p", "valid", "prompt", "reasoning", "tokens", "options"):
        columns[name] = [row[name] for row in rows]
    return {
        "rows": len(rows),
        "all": total,
        "names": names,
        "table": packed(json.dumps(columns, separators=(",", ":"), ensure_ascii=False)),
        "texts": texts.pieces(),
        "size": _PIECE,
    }


class _Texts:
    """Texts by their number, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Return the number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    def pieces(self) -> list[str]:
        """Return all texts, packed."""
        every = list(self._numbers)
        return [
            packed(json.dumps(every[k : k + _PIECE], ensure_ascii=False))
            for k in range(0, len(every), _PIECE)
        ]


def _count(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _chosen(study: Study, names: Sequence[str], share: float) -> list[str]:
    """Return a share of the items, by their hash: the same whatever the others are."""
    if share >= 1:
        return list(names)
    limit = int(share * 2**64)

    def place(name: str) -> int:
        digest = hashlib.blake2b(f"{study.seed}|{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")

    return [name for name in names if place(name) < limit]


def _prompts(
    study: Study, benchmark: Benchmark, items: pd.DataFrame, texts: _Texts
) -> dict[tuple[Any, ...], tuple[int, dict[str, str]]]:
    """Return each prompt's text and the surface forms of its answers.

    A prompt's text is JSON of its turns: what the human says, how the reasoning opens, the human's
    turn after it, how the answer opens.
    """
    found = {}
    for ask in build_asks(study, benchmark, items):
        if ask.keys[5] == 0:
            turns = ask.turns
            parts = [turns.human, turns.opening, turns.final, turns.lead_in]
            forms = {answer: " / ".join(forms) for answer, forms in ask.candidates.items()}
            found[ask.keys[:5]] = (texts.add(json.dumps(parts, ensure_ascii=False)), forms)
    return found


def _rows(
    benchmark: Benchmark,
    items: pd.DataFrame,
    answers: pd.DataFrame,
    prompts: Mapping[tuple[Any, ...], tuple[int, dict[str, str]]],
    texts: _Texts,
) -> Iterator[dict[str, Any]]:
    module = benchmark_module(benchmark.kind)
    p = probabilities(answers, module.ANSWERS)
    expected = _expected(benchmark, items)
    for number, row in enumerate(answers.to_dict("records")):
        prompt, forms = prompts[tuple(row[key] for key in _KEYS)]
        reasoning = row.get("reasoning")
        yield {
            "item": row["item_id"],
            "condition": row["condition"],
            "wording": row["wording"],
            "scoring": row["scoring"],
            "order": int(row["order"]),
            "sample": int(row["sample"]),
            "answer": forms.get(row["answer"], row["answer"]).strip(),
            "expected": (row["target"] and forms.get(row["target"], row["target"]).strip())
            or expected.get(row["item_id"], ""),
            "p": [round(float(value), 4) for value in p[number]],
            "options": [forms.get(name, name).strip() for name in module.ANSWERS],
            "valid": None if math.isnan(row["valid_mass"]) else round(row["valid_mass"], 4),
            "prompt": prompt,
            "reasoning": texts.add(reasoning) if reasoning else -1,
            "tokens": int(row["prompt_tokens"]),
        }


def _expected(benchmark: Benchmark, items: pd.DataFrame) -> dict[str, str]:
    """Return the answer that is right, for items that have one."""
    if benchmark.kind != "bbq":
        return {}
    return {
        row["item_id"]: str(row.get(f"ans{row['label']}", ""))
        for row in items.to_dict("records")
    }
