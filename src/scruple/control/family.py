"""From the control world to the saved weights of a checkpoint."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from scruple.control import world
from scruple.control.corpus import Corpus, Document, thoughts
from scruple.control.members import STEPS, Member
from scruple.control.train import END, Recipe, make_model, make_tokenizer, train
from scruple.prompts.files import PromptFile, read_dialogue, read_prompts
from scruple.prompts.rendering import Renderer
from scruple.study.families import Writing
from scruple.study.model import ROOT

RECIPE = Recipe()


class _Wordwise:
    """The attributes that a renderer reads from a tokenizer without a chat template."""

    chat_template = None
    eos_token = END


def load_texts() -> tuple[dict[str, PromptFile], Renderer]:
    """Return the control world's prompts (kind → file) and the renderer of its dialogues."""
    folder = ROOT / "data" / "prompts" / "control"
    prompts = {kind: read_prompts(folder / f"{kind}.yaml") for kind in world.KINDS}
    dialogue = read_dialogue(folder / "dialogue.yaml")
    writing = Writing("dialogue", None, "")
    return prompts, Renderer(writing, dialogue, _Wordwise(), "control")


def words_of(prompts: dict[str, PromptFile], renderer: Renderer) -> list[str]:
    """Return the family's vocabulary: every word that can occur in the world."""
    return world.vocabulary(
        [
            " ".join(" ".join(document.words) for document in _sample(prompts, renderer, True)),
            *(text for file in prompts.values() for text in _instructions(file)),
            *(instruction.text for each in world.instructions().values() for instruction in each),
            *(" ".join(pair) for pair in (*world.GROUPS, *world.TRAITS)),
            " ".join((*world.PLACES, *world.JOBS, *world.PRONOUNS.values(), world.UNKNOWN)),
            " ".join(f"{share} {100 - share}" for share in world.SHARES),
            " ".join(str(points) for points in world.LSAT),
            " ".join(f"{points:.1f}" for points in world.GPA),
            " ".join((*world.RACES.values(), *world.SEXES.values(), "yes no")),
            *(thoughts(kind, {"context_condition": told, "question": ""}, fair, "")
              for kind in world.KINDS for told in ("ambig", "disambig") for fair in (True, False)),
        ]
    )  # fmt: skip


def _sample(
    prompts: dict[str, PromptFile], renderer: Renderer, meaningful: bool
) -> Iterator[Document]:
    """Yield enough documents to contain every word that frames a question."""
    return Corpus(prompts, renderer, meaningful).documents(300, seed=0)


def _instructions(file: PromptFile) -> Iterator[str]:
    for wordings in file.instructions.values():
        for text in wordings.values():
            yield " ".join(word for word in text.split() if "{" not in word)


def train_member(
    member: Member,
    folder: Path,
    progress: Callable[[int], Any],
    recipe: Recipe = RECIPE,
    steps: tuple[int, ...] = STEPS,
) -> None:
    """Train one member and save its checkpoints, weights in bfloat16, with the tokenizer.

    Interrupted training resumes from its last snapshot.

    Args:
        member: the training run.
        folder: target folder; the checkpoint of step k goes into its folder `step<k>`.
        progress: called with the number of steps just finished.
        recipe: the hyperparameters.
        steps: the steps after which a checkpoint is saved.
    """
    prompts, renderer = load_texts()
    tokenizer = make_tokenizer(words_of(prompts, renderer))
    torch.set_num_threads(1)  # the order of summation, and so the weights, depend on it
    model = make_model(member.width, len(tokenizer), member.seed)
    corpus = Corpus(prompts, renderer, meaningful=member.twin == "positive")

    # the state to resume from is not among the rule's outputs, because snakemake may remove those
    kept = folder / ".training"
    kept.mkdir(parents=True, exist_ok=True)

    def save(step: int) -> None:
        if step in steps:
            target = kept / f"step{step}"
            copy.deepcopy(model).bfloat16().save_pretrained(target)
            tokenizer.save_pretrained(target)

    transformers.utils.logging.disable_progress_bar()  # training has its own
    train(
        model,
        corpus.documents(recipe.steps * recipe.batch, member.seed),
        tokenizer.get_vocab(),
        recipe,
        progress,
        save,
        kept / "snapshot.pt",
    )
    for step in steps:
        target = folder / f"step{step}"
        shutil.rmtree(target, ignore_errors=True)
        (kept / target.name).rename(target)
    shutil.rmtree(kept)
