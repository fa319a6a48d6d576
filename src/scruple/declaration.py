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

from scruple.errors import ScrupleError
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
        Entries, oldest first: `time`, `hash`, `content`, and `responses`, how many tables that
        tell of responses there were at that time.

    Raises:
        ScrupleError: if the history cannot be read.
    """
    path = folder / HISTORY
    history: list[dict[str, Any]] = []
    if path.is_file():
        try:
            history = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ScrupleError(
                f"{path}: the history of what was declared is damaged ({error}); bring it back "
                "from a copy, or delete it: then every verdict will say that margins were "
                "declared late."
            ) from None
    content = declared(study)
    if not history or history[-1]["hash"] != hash_of(content):
        history.append(
            {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "hash": hash_of(content),
                "content": content,
                "responses": _tables(folder),
            }
        )
        with whole(path) as part:
            part.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    return history


def _tables(folder: Path) -> int:
    """Count the tables from which a study's responses can be known: any of these kinds."""
    return max(
        sum(1 for _ in (folder / kind).rglob(f"[!.]*.{suffix}"))
        for kind, suffix in (("responses", "parquet"), ("sums", "parquet"), ("metrics", "csv"))
    )


def timing(history: list[dict[str, Any]]) -> str:
    """Return in a sentence when the declaration that holds was made."""
    last, most = history[-1], max(entry["responses"] for entry in history)
    if most == 0:
        return "declared before the first response"
    if len(history) == 1:
        return f"declared on {last['time'][:10]}, when {most} tables of responses existed"
    return (
        f"changed on {last['time'][:10]} (declaration {len(history)}), after up to {most} tables "
        "of responses had existed"
    )
