"""Checks of the prompt files, made before any model is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.prompts.files import (
    PromptFile,
    conditions_of,
    load_dialogue,
    load_prompts,
    parse_condition,
    prompt_path,
    read_prompts,
    reasoning_key,
    wordings_of,
)
from scruple.study.kinds import KINDS, Needs
from scruple.study.model import Study, resolve
from scruple.study.settings import Benchmark

_OF_ONE_OPTION = frozenset({"letter", "text"})


def check_prompts(study: Study) -> None:
    """Check that the prompt files contain everything that the study needs.

    Raises:
        ScrupleError: at the first fault; the message names the file, the key and the remedy.
    """
    for benchmark in study.benchmarks:
        load_dialogue(study, benchmark)
        prompts, path = load_prompts(study, benchmark), prompt_path(study, benchmark)
        for fault in _faults(benchmark, prompts):
            raise ScrupleError(f"{path}: {fault}.")
        _check_wordings(study, prompts, path)
    # a condition that only another kind of benchmark defines (such as q+match) is not an error
    languages = list(dict.fromkeys(map(study.language_of, study.benchmarks)))
    folders = [resolve(study.prompts) / language for language in languages]
    files = (folder / f"{kind}.yaml" for folder in folders for kind in KINDS)
    known = {
        condition.name
        for path in files
        if path.is_file()
        for condition in conditions_of(study, read_prompts(path))
    }
    for name in study.conditions:
        parse_condition(name)
        if name not in known:
            raise ScrupleError(
                f"config: `conditions`: no prompt file of {', '.join(map(str, folders))} has an "
                f"instruction for {name!r}; remove the condition, or write the instruction into "
                "one of them."
            )


def _faults(benchmark: Benchmark, prompts: PromptFile) -> Iterator[str]:
    needs = benchmark.traits.needs
    for key, text in _texts(prompts):
        if not text.strip() and key != "closing":
            yield f"`{key}` is empty; write a text or remove the key"
        if unknown := sorted(_slots(text) - needs.slots):
            yield (
                f"`{key}` has {{{unknown[0]}}}, which nothing is put into; known are "
                f"{', '.join(sorted(needs.slots))}"
            )
    if missing := sorted(needs.question - _slots(prompts.question)):
        yield f"`question` lacks {{{missing[0]}}}: the model would never see it"
    yield from _answer_faults(benchmark, prompts, needs)
    for group, names in needs.words.items():
        if absent := [name for name in names if not prompts.words.get(group, {}).get(name)]:
            yield f"`words.{group}` lacks {absent[0]}"


def _answer_faults(benchmark: Benchmark, prompts: PromptFile, needs: Needs) -> Iterator[str]:
    for name in needs.forms or benchmark.scorings:
        if name not in prompts.answers:
            yield f"`answers` lacks {name}"
            continue
        place, answer = f"answers.{name}", prompts.answers[name]
        if unknown := sorted(_slots(answer.lead_in) - needs.slots):
            yield f"`{place}.lead_in` has {{{unknown[0]}}}, which nothing is put into"
        forms: Any = answer.candidates
        if benchmark.traits.has_options:
            one = len(forms) == 1 and isinstance(forms, list)
            if not one or not _slots(forms[0]) or _slots(forms[0]) - _OF_ONE_OPTION:
                yield (
                    f"`{place}.candidates` must be a list of one form, with {{letter}} or {{text}} "
                    "for what differs between the options"
                )
            continue
        for case in needs.cases or ("",):
            here = forms.get(case) if case and isinstance(forms, dict) else forms
            if not isinstance(here, dict):
                yield f"`{place}.candidates` must name the answers{f' of {case}' if case else ''}"
                continue
            for wanted in needs.answers:
                given = here.get(wanted)
                if not isinstance(given, list) or not given or not all(given):
                    yield f"`{place}.candidates` lacks forms of {case} {wanted}".replace("  ", " ")
    if benchmark.traits.has_options:
        if len(prompts.letters) != 3 or len(set(prompts.letters)) != 3:
            yield "`letters` must be three different ones"
        if not {"letter", "text"} >= _slots(prompts.option) >= {"text"}:
            yield "`option` must show {text}, and may show {letter}"


def _texts(prompts: PromptFile) -> Iterator[tuple[str, str]]:
    """Yield the key and the text of the question, the instructions and the reasoning."""
    yield "question", prompts.question
    yield "closing", prompts.closing
    for name, wordings in prompts.instructions.items():
        for wording, text in wordings.items():
            yield f"instructions.{name}.{wording}", text
    for name, reasonings in prompts.reasoning.items():
        for wording, reasoning in reasonings.items():
            yield f"reasoning.{name}.{wording}.opening", reasoning.opening
            yield f"reasoning.{name}.{wording}.final", reasoning.final


def _slots(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\{(\w+)\}", text))


def _check_wordings(study: Study, prompts: PromptFile, path: Path) -> None:
    for condition in conditions_of(study, prompts):
        needed: list[tuple[str, Mapping[str, Any]]] = []
        if condition.instruction:
            name = condition.instruction
            needed.append((f"instructions.{name}", prompts.instructions[name]))
        if key := reasoning_key(condition, prompts):
            needed.append((f"reasoning.{key}", prompts.reasoning[key]))
        for place, wordings in needed:
            for wording in wordings_of(study, condition):
                if wording not in wordings:
                    raise ScrupleError(
                        f"config: `wordings`: {path} has no wording {wording!r} under {place}; "
                        f"there are: {', '.join(wordings)}. Choose one of them or write it."
                    )
