"""Reads the prompt files in `data/prompts/<language>/`, and builds turns from them.

A condition's name says how its prompt is built. `q` is the plain question, `q+NAME` adds the
instruction NAME from the benchmark's prompt file, and a final `+cot` lets the model reason first.
So a new instruction in a prompt file is a new condition, and needs no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scruple.errors import ScrupleError
from scruple.study.messages import explain
from scruple.study.model import Study, read_yaml, resolve
from scruple.study.settings import Benchmark


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dialogue(_Part):
    """How turns are written as plain text: the two speakers' names, and what separates turns."""

    human: str
    assistant: str
    separator: str


class Answer(_Part):
    """How the assistant's scored turn begins, and which candidates can follow.

    `candidates` contains surface forms. It is a list with one template, which is filled in for each
    answer; a mapping answer → forms; or a mapping grammatical case → answer → forms.
    """

    lead_in: str
    candidates: list[str] | dict[str, list[str]] | dict[str, dict[str, list[str]]]


class Reasoning(_Part):
    """The text that the reasoning begins with, and the human's turn after it."""

    opening: str
    final: str


class PromptFile(_Part):
    """The prompts of one kind of benchmark in one language."""

    question: str
    closing: str = ""
    answers: dict[str, Answer]
    instructions: dict[str, dict[str, str]]
    reasoning: dict[str, dict[str, Reasoning]]
    option: str = ""
    option_separator: str = "\n"
    letters: tuple[str, ...] = ()
    blank: str = ""
    words: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class Condition:
    """The parts of a condition: the instruction's name and the reasoning's key, None if absent."""

    name: str
    instruction: str | None
    reasoning: str | None


@dataclass(frozen=True)
class Turns:
    """One prompt before rendering.

    Attributes:
        human: the human's first turn.
        opening: the text that the assistant's reasoning begins with; None without reasoning.
        final: the human's turn after the reasoning; empty without reasoning.
        lead_in: the text that the assistant's scored turn begins with.
    """

    human: str
    opening: str | None
    final: str
    lead_in: str


def parse_condition(name: str) -> Condition:
    """Split a condition's name into its parts.

    Raises:
        ScrupleError: if the name is not `q`, `q+NAME`, `q+cot` or `q+NAME+cot`.
    """
    match = re.fullmatch(r"q(?:\+(?!cot\b)(?P<name>[a-z0-9_-]+))?(?P<cot>\+cot)?", name)
    if not match:
        raise ScrupleError(
            f"config: `conditions`: {name!r} is not a condition; write q, q+NAME, q+cot or "
            "q+NAME+cot, where NAME is an instruction of the prompt files."
        )
    reasoning = None
    if match["cot"]:
        reasoning = f"{match['name']}+cot" if match["name"] else "cot"
    return Condition(name, match["name"], reasoning)


def prompt_path(study: Study, benchmark: Benchmark) -> Path:
    """Return the path of a benchmark's prompt file, in its language."""
    return _folder(study, benchmark) / f"{benchmark.kind}.yaml"


def dialogue_path(study: Study, benchmark: Benchmark) -> Path:
    """Return the path of a benchmark's dialogue file, in its language."""
    return _folder(study, benchmark) / "dialogue.yaml"


def _folder(study: Study, benchmark: Benchmark) -> Path:
    return resolve(study.prompts) / study.language_of(benchmark)


def load_prompts(study: Study, benchmark: Benchmark) -> PromptFile:
    """Read a benchmark's prompt file (ScrupleError if it is not valid)."""
    return read_prompts(prompt_path(study, benchmark))


def load_dialogue(study: Study, benchmark: Benchmark) -> Dialogue:
    """Read a benchmark's dialogue file (ScrupleError if it is not valid)."""
    return read_dialogue(dialogue_path(study, benchmark))


def read_prompts(path: Path) -> PromptFile:
    """Read a prompt file from a path (ScrupleError if it is missing or not valid)."""
    prompts: PromptFile = _load(path, PromptFile)
    return prompts


def read_dialogue(path: Path) -> Dialogue:
    """Read a dialogue file from a path (ScrupleError if it is missing or not valid)."""
    dialogue: Dialogue = _load(path, Dialogue)
    return dialogue


def _load(path: Path, model: Any) -> Any:
    try:
        state = path.stat()
    except OSError:
        state = None
    if state is None or not path.is_file():
        raise ScrupleError(
            f"{path}: there is no such prompt file; set `language` and `prompts` in the config "
            "to a folder that has it."
        )
    return _parse(path, model, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _parse(path: Path, model: Any, changed: int, size: int) -> Any:
    """Read and validate a file; the result is cached until its mtime or size changes."""
    try:
        return model.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ScrupleError(explain(error, model, str(path))) from None


def conditions_of(study: Study, prompts: PromptFile) -> list[Condition]:
    """Return the study's conditions that a benchmark's prompt file defines, in config order."""
    chosen = []
    for name in study.conditions:
        condition = parse_condition(name)
        has_instruction = condition.instruction in (None, *prompts.instructions)
        has_reasoning = condition.reasoning is None or reasoning_key(condition, prompts)
        if has_instruction and has_reasoning:
            chosen.append(condition)
    return chosen


def reasoning_key(condition: Condition, prompts: PromptFile) -> str | None:
    """Return the key of the condition's own reasoning, else `cot`; None if there is neither."""
    if condition.reasoning is None:
        return None
    for key in (condition.reasoning, "cot"):
        if key in prompts.reasoning:
            return key
    return None


def wordings_of(study: Study, condition: Condition) -> tuple[str, ...]:
    """Return the wordings of a condition; the plain question has a single one, without a name."""
    varies = condition.instruction or condition.reasoning
    return study.wordings if varies else ("",)


def build_turns(
    prompts: PromptFile,
    condition: Condition,
    wording: str,
    slots: Mapping[str, str],
    lead_in: str,
) -> Turns:
    """Build the turns of one item's prompt.

    Args:
        prompts: the benchmark's prompt file.
        condition: the condition, with its instruction and its reasoning.
        wording: wording of the instruction and the reasoning.
        slots: name → value of the slots `{name}` in the texts.
        lead_in: text that the scored turn begins with, already filled in.
    """
    pieces = [prompts.question]
    if condition.instruction:
        pieces.append(prompts.instructions[condition.instruction][wording])
    if prompts.closing:
        pieces.append(prompts.closing)
    human = "\n\n".join(fill(piece, slots) for piece in pieces)
    key = reasoning_key(condition, prompts)
    if key is None:
        return Turns(human, None, "", lead_in)
    reasoning = prompts.reasoning[key][wording]
    return Turns(human, fill(reasoning.opening, slots), fill(reasoning.final, slots), lead_in)


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Replace `{slot}` by its value; unknown slots, and braces in values, are left unchanged."""
    return re.sub(r"\{(\w+)\}", lambda match: slots.get(match[1], match[0]), template)
