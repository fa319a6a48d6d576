"""Read BBQ's files: items in `.jsonl`, the metadata with the targets in `.csv`."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scruple.benchmarks.base import Items, hash_choice
from scruple.benchmarks.bbq_targets import biased_option, stereotyped_person, unknown_option
from scruple.errors import ScrupleError

log = logging.getLogger(__name__)

_TEXTS = ("context", "question", "ans0", "ans1", "ans2")
_NAMES_FROM = 26
"""In race and gender, templates with at least this question_index use names instead of labels."""


def read_items(files: Sequence[Path]) -> Items:
    """Read BBQ items from `.jsonl` files; a `.csv` among them is the metadata file.

    Raises:
        ScrupleError: naming the file, the line and the field that is wrong.
    """
    targets: dict[tuple[str, int], int] = {}
    for path in files:
        if path.suffix == ".csv":
            targets |= _read_metadata(path)
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    seen: dict[str, tuple[str, Any]] = {}
    agree = {True: 0, False: 0}
    for path in files:
        if path.suffix == ".csv":
            continue
        for place, record in _records(path):
            item_id = f"{record['category']}-{record['example_id']}"
            first, earlier = seen.get(item_id, ("", None))
            if earlier == record:
                left_out.append({"item_id": item_id, "reason": "an exact duplicate"})
                continue
            if first:
                raise ScrupleError(
                    f"{place}: item {item_id} is another one than in {first}; give each item of "
                    "a category its own example_id."
                )
            seen[item_id] = (place, record)
            told = targets.get((record["category"], int(record["example_id"])))
            biased, reason = _biased(record, told)
            if biased is None:
                left_out.append({"item_id": item_id, "reason": reason})
                continue
            if told is not None and not reason:
                agree[told == biased] += 1
            rows.append(_row(item_id, record, biased))
    if not rows:
        names = ", ".join(str(path) for path in files) or "no file"
        reasons = ", ".join(sorted({item["reason"] for item in left_out})) or "they are empty"
        raise ScrupleError(
            f"{names}: no usable BBQ item in there; {len(left_out)} left out: {reasons}."
        )
    if agree[False]:
        log.warning(
            "the metadata file's target_loc differs from the items' own tags in %d of %d items; "
            "the tags were used", agree[False], sum(agree.values()),
        )  # fmt: skip
    return Items(pd.DataFrame(rows), pd.DataFrame(left_out, columns=["item_id", "reason"]))


def _biased(record: Mapping[str, Any], told: int | None) -> tuple[int | None, str]:
    """Return the biased option, or None, and a remark unless the item's tags identify it.

    `told` is the metadata's target_loc. It already accounts for the question's polarity, so it is
    the biased option itself.
    """
    if unknown_option(record) is None:
        return None, "not exactly one option that names nobody"
    target = stereotyped_person(record)
    if target is not None:
        return biased_option(record, target), ""
    if told is not None and told != unknown_option(record):
        return told, "from the metadata"
    return None, "the tags do not single out a stereotyped person, nor does any metadata"


def _row(item_id: str, record: Mapping[str, Any], biased: int) -> dict[str, Any]:
    category, index = str(record["category"]), str(record["question_index"])
    named = category in ("Race_ethnicity", "Gender_identity")
    named = named and index.isdigit() and int(index) >= _NAMES_FROM
    return {
        "item_id": item_id,
        "cluster": f"{category}-{index}",
        "stratum": f"{category}_names" if named else category,
        "weight": 1.0,
        "category": category,
        "example_id": int(record["example_id"]),
        "context_condition": record["context_condition"],
        "question_polarity": record["question_polarity"],
        **{name: record[name].strip() for name in _TEXTS},
        "label": int(record["label"]),
        "unknown": unknown_option(record),
        "biased": biased,
        "follow": str(hash_choice(item_id, 3)),
    }


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place (file and line) and the checked JSON object of each non-empty line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ScrupleError(f"{path}: cannot be read as a text file in UTF-8 ({error}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ScrupleError(
                f"{place}: not a JSON object ({error}); BBQ files hold one item per line. Is the "
                "file complete?"
            ) from None
        fault = _fault(record)
        if fault:
            raise ScrupleError(f"{place}: {fault}; the fields are those of BBQ's own files.")
        yield place, record


def _fault(record: Any) -> str | None:
    """Return the first problem with an item's fields, or None."""
    if not isinstance(record, dict):
        return "not a JSON object"
    needed = (*_TEXTS, "example_id", "question_index", "question_polarity", "context_condition",
              "category", "answer_info", "additional_metadata", "label")  # fmt: skip
    for name in needed:
        if name not in record:
            return f"field `{name}` is missing"
    for name in (*_TEXTS, "category"):
        if not isinstance(record[name], str) or not record[name].strip():
            return f"field `{name}` is not a text"
    choices = {"question_polarity": ("neg", "nonneg"), "context_condition": ("ambig", "disambig")}
    for name, allowed in choices.items():
        if record[name] not in allowed:
            return f"field `{name}` is {record[name]!r}, not one of {', '.join(allowed)}"
    if record["label"] not in (0, 1, 2):
        return f"field `label` is {record['label']!r}, not 0, 1 or 2"
    if not re.fullmatch(r"[0-9]{1,15}", str(record["example_id"])):
        return f"field `example_id` is {record['example_id']!r}, not a whole number"
    info = record["answer_info"]
    for i in range(3):
        entry = info.get(f"ans{i}") if isinstance(info, dict) else None
        if not isinstance(entry, list) or not entry:
            return f"field `answer_info` has no list `ans{i}`"
    metadata = record["additional_metadata"]
    groups = metadata.get("stereotyped_groups") if isinstance(metadata, dict) else None
    if not isinstance(groups, list):
        return "field `additional_metadata` has no list `stereotyped_groups`"
    return None


def _read_metadata(path: Path) -> dict[tuple[str, int], int]:
    """Return (category, example_id) → target_loc for every row that has a target."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ScrupleError(f"{path}: cannot be read as CSV ({error}).") from None
    missing = {"category", "example_id", "target_loc"} - set(table.columns)
    if missing:
        raise ScrupleError(
            f"{path}: not BBQ's metadata file, column {', '.join(sorted(missing))} is missing."
        )
    locations = pd.to_numeric(table["target_loc"], errors="coerce")
    ids = pd.to_numeric(table["example_id"], errors="coerce")
    return {
        (str(category), int(example)): int(location)
        for category, example, location in zip(table["category"], ids, locations, strict=True)
        if pd.notna(location) and pd.notna(example) and location in (0, 1, 2)
    }
