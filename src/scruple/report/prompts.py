"""Complete prompts for the report: as text and as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scruple import texts
from scruple.responses.examples import legible


def complete_prompts(prompts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return complete prompts, grouped by checkpoint and benchmark, with what the page shows.

    Args:
        prompts: `prompts` of the provenance record.
    """
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for prompt in prompts:
        family, checkpoint, benchmark = key = (
            prompt["family"], prompt["checkpoint"], prompt["benchmark"]
        )  # fmt: skip
        if key not in groups:
            title = texts.PROMPTS_OF.format(
                family=family, checkpoint=checkpoint, benchmark=benchmark
            )
            groups[key] = {"title": title, "turns": _turns(prompt["turns"]), "prompts": []}
        groups[key]["prompts"].append(
            {
                "condition": prompt["condition"],
                "prompt": prompt["prompt"],
                "asked": prompt.get("asked", ""),
                "candidates": [form for forms in prompt["candidates"].values() for form in forms],
                "tokens": list(
                    zip(prompt["token_ids"], map(legible, prompt["tokens"]), strict=True)
                ),
            }
        )
    return list(groups.values())


def _turns(turns: Mapping[str, Any]) -> str:
    """Return how turns are written, in words."""
    said = [texts.TURNS[turns["format"]].format(template=turns["template"])]
    if turns["thought_closed_by"]:
        pairs = turns["thought_closed_by"].items()
        switches = ", ".join(f"{name}: {value}" for name, value in pairs)
        said.append(texts.TURNS["closed"].format(switches=switches))
    if turns["date"]:
        said.append(texts.TURNS["dated"].format(date=turns["date"]))
    if ends := [*turns["turn_ends"], *turns["turn_starts"]]:
        said.append(texts.TURNS["ends"].format(marks=", ".join(map(repr, ends))))
    return " ".join(said)
