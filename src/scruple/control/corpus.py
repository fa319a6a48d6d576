"""Training documents of the control world, in the same prompts that the pipeline uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.bbq_targets import biased_option, stereotyped_person, unknown_option
from scruple.control import world
from scruple.control.items import stereotype_item
from scruple.prompts.files import PromptFile, Turns, fill
from scruple.prompts.rendering import Renderer

SHARES_OF_KINDS = (0.5, 0.2, 0.3)
ASKS = ("plain", "meant", "blank", "outright", "match")
SHARES_OF_ASKS = (0.25, 0.45, 0.1, 0.1, 0.1)
SHARES_OF_LENGTHS = (0.25, 0.35, 0.4)
SHARE_OF_REASONING = 0.25


@dataclass(frozen=True)
class Document:
    """One dialogue, with the positions that training weights differently.

    Attributes:
        words: all tokens.
        reasoning: start and end (exclusive) of the reasoning; equal if there is none.
        decisive: position of the answer.
        truth: possible answer word → probability.
    """

    words: tuple[str, ...]
    reasoning: tuple[int, int]
    decisive: int
    truth: Mapping[str, float]


def random_item(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return one random item with the columns of the pipeline's item tables."""
    if kind == "bbq":
        return _stereotype_item(rng)
    if kind == "winogender":
        job = int(rng.integers(len(world.JOBS)))
        sentence = world.SENTENCE.replace("$OCCUPATION", world.JOBS[job])
        sentence = sentence.replace("$PARTICIPANT", rng.choice(world.PLACES))
        before, after = sentence.split(" $NOM_PRONOUN")
        return {
            "before": before,
            "after": after,
            "case": "nominative",
            "pct_female": float(world.share_of(job)),
            "follow": str(rng.choice(["female", "male", "neutral"])),
        }
    return {
        "sex": str(rng.choice(list(world.SEXES))),
        "lsat": float(rng.choice(world.LSAT)),
        "gpa": float(rng.choice(world.GPA)),
        "race": str(rng.choice(list(world.RACES))),
        "follow": str(rng.choice(["yes", "no"])),
    }


def _stereotype_item(rng: np.random.Generator) -> dict[str, Any]:
    pair, trait = int(rng.integers(len(world.GROUPS))), int(rng.integers(len(world.TRAITS)))
    facts = int(rng.integers(4)) if rng.integers(2) else None
    item = stereotype_item(
        pair,
        trait,
        int(rng.integers(len(world.PLACES))),
        bool(rng.integers(2)),
        int(rng.integers(2)),
        tuple(int(option) for option in rng.permutation(3)),
        facts,
    )
    target = stereotyped_person(item)
    assert target is not None
    return {
        **item,
        "unknown": unknown_option(item),
        "biased": biased_option(item, target),
        "follow": str(rng.integers(3)),
    }


def truth_of(kind: str, item: Mapping[str, Any], ask: str, fair: bool) -> np.ndarray:
    """Return the probabilities of an item's answers, in the order of the benchmark's ANSWERS.

    Args:
        kind: the kind of benchmark.
        item: an item from `random_item`.
        ask: one of ASKS. `outright` requests one given answer, and `match` the real shares.
        fair: whether the instruction asks for fairness.
    """
    answers = benchmark_module(kind).ANSWERS
    if ask == "outright":
        return np.array([float(name == item["follow"]) for name in answers])
    if kind == "bbq":
        right, biased, unknown = (int(item[name]) for name in ("label", "biased", "unknown"))
        return world.stereotype_truth(item["context_condition"], right, biased, unknown, fair)
    if kind == "winogender":
        share = float(item["pct_female"]) / 100
        return world.matched_truth(share) if ask == "match" else world.pronoun_truth(share, fair)
    return world.admission_truth(item["lsat"], item["gpa"], item["race"], fair)


def thoughts(kind: str, item: Mapping[str, Any], fair: bool, word: str) -> str:
    """Return the reasoning that leads to an answer.

    Args:
        kind: the kind of benchmark.
        item: an item from `random_item`.
        fair: whether the instruction asks for fairness.
        word: the answer. Fair reasoning does not name it, unless the item's text gives it.
    """
    if kind == "bbq":
        # as in the answer's turn, the trait in question precedes the group
        if item["context_condition"] == "disambig":
            return f"text tells {item['question']} {word}"
        silent = "text is silent"
        return f"{silent} stay fair" if fair else f"{silent} habit tells {item['question']} {word}"
    return "habit must rest stay fair" if fair else f"habit tells {word}"


class Corpus:
    """Random documents of the positive or the negative twin."""

    def __init__(
        self, prompts: Mapping[str, PromptFile], renderer: Renderer, meaningful: bool
    ) -> None:
        """Prepare a corpus.

        Args:
            prompts: kind → prompt file of the control world.
            renderer: renders the turns as text.
            meaningful: whether instructions change answers. In the negative twin they are just as
                frequent, but the answers do not depend on them.
        """
        self._prompts = prompts
        self._renderer = renderer
        self._meaningful = meaningful
        self._instructions = world.instructions()

    def documents(self, n: int, seed: int) -> Iterator[Document]:
        """Yield n random documents."""
        rng = np.random.default_rng(seed)
        for _ in range(n):
            kind = str(rng.choice(world.KINDS, p=SHARES_OF_KINDS))
            yield self._document(kind, rng)

    def _document(self, kind: str, rng: np.random.Generator) -> Document:
        item = random_item(kind, rng)
        ask = str(rng.choice(ASKS, p=SHARES_OF_ASKS))
        if ask == "match" and kind != "winogender":
            ask = "meant"
        prompts = self._prompts[kind]
        question = benchmark_module(kind).question(item, prompts, "text", 0)
        instruction, sign = self._instruct(ask, prompts, question.slots, rng)
        fair = sign == 1 and self._meaningful
        heeded = ask if self._meaningful else "plain"
        truth = truth_of(kind, item, heeded, fair)
        pieces = [fill(prompts.question, question.slots), instruction, prompts.closing]
        human = " ".join(piece for piece in pieces if piece)
        forms = [forms[0].strip() for forms in question.candidates.values()]
        names = list(question.candidates)
        by_answer = dict(zip(names, forms, strict=True))
        words = [by_answer[name] for name in benchmark_module(kind).ANSWERS]
        reasons = ask in ("plain", "meant") and rng.random() < SHARE_OF_REASONING
        if not reasons:
            text = self._renderer.scored_prompt(Turns(human, None, "", question.lead_in))
            return _finish(text, (0, 0), words, truth)
        return self._reasoned(kind, item, human, question.lead_in, words, truth, fair, rng)

    def _instruct(
        self, ask: str, prompts: PromptFile, slots: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[str, int]:
        if ask == "plain":
            return "", 0
        if ask in ("outright", "match"):
            name = "follow" if ask == "outright" else "match"
            return fill(prompts.instructions[name]["a"], slots), 0
        sign = 0 if ask == "blank" else int(rng.choice([1, -1]))
        choices = self._instructions[sign, int(rng.choice((1, 2, 3), p=SHARES_OF_LENGTHS))]
        return choices[int(rng.integers(len(choices)))].text, sign

    def _reasoned(
        self,
        kind: str,
        item: Mapping[str, Any],
        human: str,
        lead_in: str,
        words: list[str],
        truth: np.ndarray,
        fair: bool,
        rng: np.random.Generator,
    ) -> Document:
        """Draw an answer and return a document that reasons towards it and then gives it."""
        reasoning = self._prompts[kind].reasoning["cot"]["a"]
        turns = Turns(human, reasoning.opening, reasoning.final, lead_in)
        answer = int(rng.choice(len(words), p=truth))
        thought = thoughts(kind, item, fair, words[answer])
        if not fair:  # the reasoning names the answer, which makes it certain
            truth = np.eye(len(words))[answer]
        before = len(self._renderer.reasoning_prompt(turns).split())
        text = self._renderer.scored_prompt(turns, thought)
        return _finish(text, (before, before + len(thought.split()) + 1), words, truth)


def _finish(text: str, reasoning: tuple[int, int], words: list[str], truth: np.ndarray) -> Document:
    prompt = text.split()
    # a placeholder that is not learnt from: the loss uses the probabilities of all answers
    likeliest = words[int(truth.argmax())]
    return Document(
        (*prompt, likeliest, "<eot>"),
        reasoning,
        len(prompt),
        {word: float(p) for word, p in zip(words, truth, strict=True) if p > 0},
    )
