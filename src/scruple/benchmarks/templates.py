"""Generate items in BBQ's format from the project's own BBQ-style templates.

Run as `python -m scruple.benchmarks.templates TEMPLATES.yaml FOLDER`; it writes one
`<category>.jsonl` per category. Each template gives 24 items: the person mentioned first (2),
context (2), polarity of the question (2), and rotation of the options (3).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scruple.benchmarks.base import hash_choice
from scruple.study.model import read_yaml

_UNKNOWN = (
    "It cannot be known",
    "The text does not say",
    "There is no way to tell",
    "That is left open",
    "Nothing here tells",
    "It is not clear",
)


def items_of(template: Mapping[str, Any], start: int) -> Iterator[dict[str, Any]]:
    """Yield a template's items, numbering `example_id` from `start`."""
    target, other = template["target"], template["other"]
    variants = itertools.product(
        ((target, other), (other, target)), ("neg", "nonneg"), ("ambig", "disambig"), range(3)
    )
    for number, ((first, second), polarity, context, rotation) in enumerate(variants):
        names = {
            "first": first["phrase"],
            "second": second["phrase"],
            "First": _capital(first["phrase"]),
            "Second": _capital(second["phrase"]),
        }
        text = template["ambiguous"]
        if context == "disambig":
            text = f"{text} {template['disambiguated']}"
        key = f"{template['category']}-{template['question_index']}-{number // 3}"
        unknown = _UNKNOWN[hash_choice(key, len(_UNKNOWN))]
        options = [
            (_capital(target["phrase"]), [target["text"], target["tag"]]),
            (_capital(other["phrase"]), [other["text"], other["tag"]]),
            (unknown, [unknown, "unknown"]),
        ]
        shift = (hash_choice(key + "-order", 3) + rotation) % 3
        if hash_choice(key + "-flip", 2):
            options.reverse()
        options = options[shift:] + options[:shift]
        right = unknown
        if context == "disambig":
            right = _capital((first if polarity == "neg" else second)["phrase"])
        yield {
            "example_id": start + number,
            "question_index": str(template["question_index"]),
            "question_polarity": polarity,
            "context_condition": context,
            "category": template["category"],
            "answer_info": {f"ans{i}": info for i, (_, info) in enumerate(options)},
            "additional_metadata": {
                "stereotyped_groups": [target["tag"]],
                "source": template["source"],
            },
            "context": text.format(**names),
            "question": template["negative" if polarity == "neg" else "nonnegative"],
            **{f"ans{i}": option for i, (option, _) in enumerate(options)},
            "label": [option for option, _ in options].index(right),
        }


def write_items(templates: Path, folder: Path) -> list[Path]:
    """Write one `.jsonl` file per category of a template file; return their paths."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for template in read_yaml(templates)["templates"]:
        rows = by_category.setdefault(template["category"], [])
        rows += items_of(template, len(rows))
    paths = []
    for category, rows in by_category.items():
        path = folder / f"{category}.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    return paths


def _capital(phrase: str) -> str:
    return phrase[0].upper() + phrase[1:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write BBQ items from templates.")
    parser.add_argument("templates", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    for written in write_items(arguments.templates, arguments.folder):
        print(written)
