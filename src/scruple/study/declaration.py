"""What a study decided before it looked: margins, measures, items, controls, wording, axes.

The first declaration is written before the first response. A later change is allowed, and never
hidden: the history stays beside the results, with how many tables of responses were there. What is
only added later (a family, a benchmark, a condition) changes nothing of what was decided before.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scruple import texts
from scruple.errors import ScrupleError
from scruple.files import write_json
from scruple.study.model import Study
from scruple.study.settings import Benchmark

HISTORY = "declarations.json"
"""Name of the history in a study's folder: kept by hand, never an output that is deleted."""


_ITEMS = {"kind", "source", "max_items", "categories", "orders"}
"""What decides which items a benchmark asks, and how."""
_BEFORE = {"axes": dict.fromkeys(("size", "stage", "step"), True)}
"""What held before a declaration could name it."""


def declared(study: Study) -> dict[str, Any]:
    """Return all that a study decides about how its responses will be read."""
    return {
        "seed": study.seed,
        "language": study.language,
        "margins": {
            kind: margin.model_dump(mode="json") for kind, margin in sorted(study.margins.items())
        },
        "wording": study.wordings[0],
        "scoring": {family.name: family.primary_scoring for family in study.families},
        "benchmarks": {
            benchmark.name: benchmark.model_dump(mode="json", include=_items(benchmark))
            for benchmark in study.benchmarks
        },
        "conditions": dict.fromkeys(study.conditions, True),
        "axes": dict.fromkeys(study.axes, True),
        "decoding": study.decoding.model_dump(mode="json"),
    }


def _items(benchmark: Benchmark) -> set[str]:
    """Return the keys that decide a benchmark's items; a language only where it has its own."""
    return _ITEMS | ({"language"} if benchmark.language else set())


def hash_of(content: dict[str, Any]) -> str:
    """Return the hash by which a declaration is known."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def declare(study: Study, folder: Path) -> list[dict[str, Any]]:
    """Add what a study decides to its history, if it is new; return the whole history.

    Args:
        study: the study.
        folder: its results.

    Returns:
        Entries, oldest first: `time`, `hash`, `content`, `changed` (what an entry decides
        otherwise than those before it, by its path), and `responses`, how many tables that tell of
        responses there were at that time.

    Raises:
        ScrupleError: if the history cannot be read.
    """
    path = folder / HISTORY
    history = _read(path) if path.is_file() else []
    content = declared(study)
    if not history or history[-1]["hash"] != hash_of(content):
        history.append(
            {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "hash": hash_of(content),
                "content": content,
                "changed": _changed([entry["content"] for entry in history], content),
                "responses": _tables(folder),
            }
        )
        write_json(path, history)
    return history


def _tables(folder: Path) -> int:
    """Count the tables from which a study's responses can be known: any of these kinds."""
    return max(
        sum(1 for _ in (folder / kind).rglob(f"[!.]*.{suffix}"))
        for kind, suffix in (("responses", "parquet"), ("sums", "parquet"), ("metrics", "csv"))
    )


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
        for entry in history:
            if not {"time", "hash", "content", "responses"} <= set(entry):
                raise ValueError("an entry is not whole")
        if not isinstance(history, list):
            raise ValueError("it is no list")
    except (TypeError, ValueError) as error:
        raise ScrupleError(
            f"{path}: the history of what was declared is damaged ({error}); bring it back "
            "from a copy, or delete it: then every verdict will say that margins were "
            "declared late."
        ) from None
    return history


def _changed(before: list[dict[str, Any]], now: dict[str, Any]) -> list[str]:
    """Return the paths of what is decided otherwise than it was last, or not any more.

    The wording of a reason is no decision.
    """
    before = [_BEFORE | content for content in before]
    last: dict[str, Any] = {}
    for content in before:
        last |= _flat(content)
    new, previous = _flat(now), _flat(before[-1]) if before else {}
    otherwise = {path for path, value in new.items() if path in last and last[path] != value}
    return sorted(otherwise | (set(previous) - set(new)))


def _flat(content: dict[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{start}.{key}" if start else key
        if isinstance(value, dict):
            found |= _flat(value, path)
        elif key != "reason":
            found[path] = value
    return found


@dataclass(frozen=True)
class Timing:
    """When the declaration that holds was made.

    Attributes:
        late: whether responses existed before.
        date: of the last declaration that came late, as YYYY-MM-DD; empty if none did.
        changed: the paths of what was changed after responses existed.
        tables: how many tables of responses existed at that time, at the most.
    """

    late: bool = False
    date: str = ""
    changed: tuple[str, ...] = ()
    tables: int = 0

    def __str__(self) -> str:
        """Return it as a sentence."""
        if not self.late:
            return texts.DECLARED_BEFORE
        text = texts.DECLARED_CHANGED if self.changed else texts.DECLARED_LATE
        return text.format(date=self.date, changed=", ".join(self.changed), tables=self.tables)


def timing(history: list[dict[str, Any]]) -> Timing:
    """Return when the declaration that holds was made, and what it changed."""
    first, responses = history[0], 0
    late = []
    for entry in history:
        responses = max(responses, entry["responses"])
        if entry.get("changed") and responses:
            late.append((entry, responses))
    if late:
        entry, most = late[-1]
        what = sorted({path for one, _ in late for path in one["changed"]})
        return Timing(True, entry["time"][:10], tuple(what), most)
    if first["responses"]:
        return Timing(True, first["time"][:10], (), first["responses"])
    return Timing()
