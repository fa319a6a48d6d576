"""The declaration: what a study decides before it sees any response.

It covers margins, measures, items, conditions, wording, axes and decoding. The first declaration is
written before the first response. Later changes are allowed but never hidden: the history is stored
with the results, and says how many tables of responses existed at each change. A pure addition (a
family, a benchmark, a condition) changes nothing that was decided before.
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
from scruple.study.conditions import CONTROLS, ROLES
from scruple.study.model import Study
from scruple.study.settings import Benchmark

HISTORY = "declarations.json"
"""The history's file in a study's folder. No rule has it as output: snakemake would delete it."""


_ITEMS = {"kind", "source", "max_items", "categories", "orders"}
"""Keys of a benchmark that decide which items are asked, and how."""
_BEFORE = {"axes": dict.fromkeys(("size", "stage", "step"), True)}
"""Decisions that older declarations imply, because these keys did not exist yet."""


def declared(study: Study) -> dict[str, Any]:
    """Return everything that a study decides about how its responses will be analysed."""
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
        **_controls(study),
        "axes": dict.fromkeys(study.axes, True),
        "decoding": study.decoding.model_dump(mode="json"),
    }


def _controls(study: Study) -> dict[str, Any]:
    """Return the study's controls beyond those that every study compares with, if there are any."""
    own = {
        name: ROLES[name].control_of
        for name in study.conditions
        if name in CONTROLS and name not in ("q+placebo", "q+cot")
    }
    return {"controls": own} if own else {}


def _items(benchmark: Benchmark) -> set[str]:
    """Return the keys that decide a benchmark's items; `language` only if the benchmark sets it."""
    return _ITEMS | ({"language"} if benchmark.language else set())


def hash_of(content: dict[str, Any]) -> str:
    """Return the SHA-256 that identifies a declaration's content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def declare(study: Study, folder: Path) -> list[dict[str, Any]]:
    """Append a study's declaration to its history if it has changed; return the history.

    Args:
        study: the study.
        folder: folder of its results.

    Returns:
        Entries, oldest first, with `time`, `hash`, `content`, `changed` (paths of the decisions
        that differ from earlier entries), and `responses` (how many tables that show responses
        existed at that time).

    Raises:
        ScrupleError: if the history is damaged.
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
    """Count the tables that reveal responses; of the three kinds, the one with the most counts."""
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
    """Return the paths of decisions that differ from their last value, or were dropped.

    The text of a `reason` is not a decision.
    """
    before, now = [_in_force(_BEFORE | content) for content in before], _in_force(now)
    last: dict[str, Any] = {}
    for content in before:
        last |= _flat(content)
    new, previous = _flat(now), _flat(before[-1]) if before else {}
    otherwise = {path for path, value in new.items() if path in last and last[path] != value}
    return sorted(otherwise | (set(previous) - set(new)))


def _in_force(content: dict[str, Any]) -> dict[str, Any]:
    """Return a declaration with what holds for each benchmark, whichever key decides it.

    A margin may be given by a benchmark's name or for its kind, a language by the benchmark or by
    the study. A benchmark without a margin says so: adding one later is a change.
    """
    margins, language = content.get("margins", {}), content.get("language")
    benchmarks = content.get("benchmarks", {})
    rest = {key: value for key, value in content.items() if key not in ("margins", "language")}
    return rest | {
        "margins": {
            name: margins.get(name) or margins.get(entry["kind"]) or "none"
            for name, entry in benchmarks.items()
        },
        "benchmarks": {
            name: {**entry, "language": entry.get("language") or language}
            for name, entry in benchmarks.items()
        },
    }


def _flat(content: dict[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{start}.{key}" if start else key
        if isinstance(value, dict):
            found |= _flat(value, path)
        elif key in ("gate", "keep"):  # a list, in any order
            found[path] = sorted(str(_flat(entry)) for entry in value)
        elif key != "reason":
            found[path] = value
    return found


@dataclass(frozen=True)
class Timing:
    """When the current declaration was made.

    Attributes:
        late: whether it was made or changed after responses existed.
        date: date of the last late declaration, as YYYY-MM-DD; empty if there is none.
        changed: paths of the decisions that were changed after responses existed.
        tables: the largest number of tables of responses that existed up to that date.
    """

    late: bool = False
    date: str = ""
    changed: tuple[str, ...] = ()
    tables: int = 0

    def __str__(self) -> str:
        """Return the timing as a sentence."""
        if not self.late:
            return texts.DECLARED_BEFORE
        text = texts.DECLARED_CHANGED if self.changed else texts.DECLARED_LATE
        return text.format(date=self.date, changed=", ".join(self.changed), tables=self.tables)


def timing(history: list[dict[str, Any]]) -> Timing:
    """Return when the current declaration was made, and what was changed late."""
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
