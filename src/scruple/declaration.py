"""What a study decided before it looked: margins, primary measures, wording and scoring.

The first declaration is written before the first response. A later change is allowed, and never
hidden: the history stays beside the results, with how many tables of responses were there.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scruple.jobs import whole
from scruple.study import Study

HISTORY = "declarations.json"
"""Name of the history in a study's folder: kept by hand, never an output that is deleted."""


def declared(study: Study) -> dict[str, Any]:
    """Return all that a study decides about how its responses will be read."""
    return {
        "margins": {
            kind: margin.model_dump(mode="json") for kind, margin in sorted(study.margins.items())
        },
        "wording": study.wordings[0],
        "scoring": {family.name: family.primary_scoring for family in study.families},
    }


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
        Entries, oldest first: `time`, `hash`, `content`, and `responses`, how many tables of
        responses there were at that time.
    """
    path = folder / HISTORY
    history: list[dict[str, Any]] = []
    if path.is_file():
        history = json.loads(path.read_text(encoding="utf-8"))
    content = declared(study)
    if not history or history[-1]["hash"] != hash_of(content):
        history.append(
            {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "hash": hash_of(content),
                "content": content,
                "responses": sum(1 for _ in (folder / "responses").rglob("*.parquet")),
            }
        )
        with whole(path) as part:
            part.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    return history


def timing(history: list[dict[str, Any]]) -> str:
    """Return in a sentence when the declaration that holds was made."""
    last = history[-1]
    if last["responses"] == 0:
        return "declared before the first response"
    first = "declared" if len(history) == 1 else "changed"
    return f"{first} on {last['time'][:10]}, when {last['responses']} tables of responses existed"
