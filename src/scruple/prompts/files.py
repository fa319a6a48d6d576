"""Prompts are data: this module reads `data/prompts/<language>/` and builds turns.

A condition's name says how its prompt is built: `q` is the plain question; `q+NAME` adds the
instruction NAME of the benchmark's prompt file; a final `+cot` lets the model reason first. So a
new instruction in a prompt file is a new condition, without a line of code.
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
    """How turns are written as plain text."""

    human: str
    assistant: str
    separator: str


class Answer(_Part):
    """How the assistant's scored turn opens, and what may follow.

    `candidates` holds surface forms: a list (one form per answer, filled in per answer), a mapping
    answer → forms, or a mapping of those by grammatical case.
    """

    lead_in: str
    candidates: list[str] | dict[str, list[str]] | dict[str, dict[str, list[str]]]


class Reasoning(_Part):
    """The sentence that opens the sampled reasoning, and the human's turn after it."""

    opening: str
    final: str


class PromptFile(_Part):
    """One benchmark's prompts in one language."""

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
    """A condition's parts: the instruction's name and the key of the reasoning, if any."""

    name: str
    instruction: str | None
    reasoning: str | None


@dataclass(frozen=True)
class Turns:
    """One prompt before rendering.

    Attributes:
        human: the human's first turn.
        opening: what the assistant's reasoning opens with; None where there is no reasoning.
        final: the human's turn after the reasoning.
        lead_in: how the scored assistant's turn opens.
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
    """Return the path of the file that says how a benchmark's turns are written as plain text."""
    return _folder(study, benchmark) / "dialogue.yaml"


def _folder(study: Study, benchmark: Benchmark) -> Path:
    return resolve(study.prompts) / study.language_of(benchmark)


def load_prompts(study: Study, benchmark: Benchmark) -> PromptFile:
    """Read a benchmark's prompt file; ScrupleError says what is wrong in it."""
    return read_prompts(prompt_path(study, benchmark))


def load_dialogue(study: Study, benchmark: Benchmark) -> Dialogue:
    """Read how turns are written as plain text; ScrupleError says what is wrong."""
    return read_dialogue(dialogue_path(study, benchmark))


def read_prompts(path: Path) -> PromptFile:
    """Read a benchmark's prompt file; ScrupleError says what is wrong in it."""
    prompts: PromptFile = _load(path, PromptFile)
    return prompts


def read_dialogue(path: Path) -> Dialogue:
    """Read a dialogue file; ScrupleError says what is wrong in it."""
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
    """Read a file once, as long as it does not change."""
    try:
        return model.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ScrupleError(explain(error, model, str(path))) from None


def conditions_of(study: Study, prompts: PromptFile) -> list[Condition]:
    """Return the study's conditions that a benchmark's prompts can build, in config order."""
    chosen = []
    for name in study.conditions:
        condition = parse_condition(name)
        has_instruction = condition.instruction in (None, *prompts.instructions)
        has_reasoning = condition.reasoning is None or reasoning_key(condition, prompts)
        if has_instruction and has_reasoning:
            chosen.append(condition)
    return chosen


def reasoning_key(condition: Condition, prompts: PromptFile) -> str | None:
    """Return the reasoning of exactly this condition, else the general one; None without any."""
    if condition.reasoning is None:
        return None
    for key in (condition.reasoning, "cot"):
        if key in prompts.reasoning:
            return key
    return None


def wordings_of(study: Study, condition: Condition) -> tuple[str, ...]:
    """Return the wordings a condition is asked in: one, without a name, for the plain question."""
    varies = condition.instruction or condition.reasoning
    return study.wordings if varies else ("",)


def build_turns(
    prompts: PromptFile,
    condition: Condition,
    wording: str,
    slots: Mapping[str, str],
    lead_in: str,
) -> Turns:
    """Fill in one item's prompt.

    Args:
        prompts: the benchmark's prompt file.
        condition: which instruction and reasoning to add.
        wording: which wording of them.
        slots: what the {…} of the texts stand for.
        lead_in: how the scored turn opens, already filled in.
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
    """Put values in place of `{slot}`; other braces, and braces in values, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda match: slots.get(match[1], match[0]), template)
