"""Families of checkpoints as typed objects: their origin, size, stage and step."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, StringConstraints, model_validator

from scruple.study.architecture import Shape
from scruple.study.types import Name, Strict, refuse_duplicates

Format = Literal["auto", "chat", "dialogue"]
Scoring = Literal["letter", "text"]
Repository = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
"""A repository on the hub: `owner/name`, or a name without an owner."""


class Writing(NamedTuple):
    """How turns are written for a checkpoint."""

    format: Format
    """`chat`, `dialogue` or `auto`."""
    template: str | None
    """The name of the chat template, if the tokenizer has several."""
    date: str
    """The date that chat templates take for today's, as YYYY-MM-DD."""


class Hub(Strict):
    """Permissions for pickled weights and for code that comes with a checkpoint."""

    allow_pickle: bool = False
    """Whether to load pickled weights if there are no safetensors. PyTorch's restricted unpickler
    reads them, and executes none of their code."""
    allow_code: tuple[Repository, ...] = ()
    """Repositories (or folders, as written in `path`) whose own Python code may be run if
    transformers lacks their architecture."""


NOTHING_UNSAFE = Hub()


def check_file(name: str, file: str) -> None:
    """Raise an error if a checkpoint's `file` cannot be the name of a GGUF file.

    Raises:
        ValueError: naming the checkpoint and what is wrong.
    """
    parts = file.split("/")
    if "\\" in file or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"checkpoint `{name}`: `file` is {file!r}; give the file's name within the repository, "
            "folder or package, for example model.gguf or Q4/model.gguf"
        )
    if not file.endswith(".gguf"):
        raise ValueError(
            f"checkpoint `{name}`: `file` is {file!r}, and only a GGUF file (.gguf) is named with "
            "it; leave `file` out for a checkpoint in the format of transformers"
        )
    if re.search(r"-\d+-of-\d+\.gguf$", file):
        raise ValueError(
            f"checkpoint `{name}`: `file` is {file!r}, one part of a GGUF file in several, which "
            "are not read; join them with llama.cpp's `llama-gguf-split --merge`, or take a file "
            "in one piece"
        )


class Checkpoint(Strict):
    """One set of weights: its origin, and its place on the study's axes.

    Checkpoints of the same size, stage and step are training runs of one recipe, distinguished by
    their `seed`.
    """

    name: Name
    """The checkpoint's name in tables and figures."""
    params: Annotated[int, Field(gt=0)]
    """The total number of parameters: the x axis of the figures."""
    stage: Name = "base"
    """The stage of training: base, sft, dpo, …"""
    step: Annotated[int, Field(ge=0)] | None = None
    """The training step at which the weights were saved."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """The seed of the training run; it distinguishes several runs of one recipe."""
    format: Format | None = None
    """How turns are written for this checkpoint; by default the family's `format`."""
    template: Name | None = None
    """The name of its chat template, if its tokenizer has several; by default the family's."""
    hub: Repository | None = None
    """The repository on the hub: owner/name."""
    revision: Annotated[str, StringConstraints(min_length=1)] | None = None
    """The branch, tag or commit of the repository; by default main."""
    path: str | None = None
    """A local folder in the format that transformers saves, or with a GGUF file (`file`)."""
    package: str | None = None
    """An installed Python package that contains a GGUF file."""
    file: Annotated[str, StringConstraints(min_length=1)] | None = None
    """The name of a GGUF file in the repository, folder or package, if the checkpoint is one."""
    shape: Shape | None = None
    """The architecture's dimensions, from which the plan estimates memory and time."""
    unchecked: bool = False
    """Whether the checkpoint's name or size could not be looked up when this entry was written."""

    @model_validator(mode="after")
    def _one_origin(self) -> Checkpoint:
        given = [key for key in ("hub", "path", "package") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"checkpoint `{self.name}` needs exactly one origin, and has "
                f"{' and '.join(given) or 'none'}: give `hub` (a repository's name), `path` "
                "(a local folder), or `package` (an installed Python package); with `file` for a "
                "GGUF file in it"
            )
        if self.package is not None and self.file is None:
            raise ValueError(
                f"checkpoint `{self.name}`: `package` needs `file`, the GGUF file in the package"
            )
        if self.file is not None:
            check_file(self.name, self.file)
        if self.shape is not None and abs(self.shape.params() / self.params - 1) > 0.02:
            raise ValueError(
                f"checkpoint `{self.name}` has `params: {self.params}`, and its `shape` makes "
                f"{self.shape.params()}: correct one of them"
            )
        if self.revision is not None and self.hub is None:
            raise ValueError(f"checkpoint `{self.name}`: `revision` goes with `hub` only")
        return self


class Family(Strict):
    """Checkpoints of one recipe that differ in size, stage or step."""

    name: Name
    """The family's name in tables and figures."""
    format: Format = "auto"
    """How turns are written: with the tokenizer's chat template (`chat`), as plain text
    (`dialogue`), or with the template if there is one (`auto`)."""
    template: Name | None = None
    """The name of the chat template, for tokenizers that have several; by default `default`."""
    primary_scoring: Scoring = "text"
    """The BBQ scoring that figures and verdicts use."""
    note: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """A remark on these checkpoints, which every figure and report shows."""
    licence: str | None = None
    """The licence of the weights."""
    checkpoints: Annotated[tuple[Checkpoint, ...], Field(min_length=1)]
    """The checkpoints; stages are ordered as they first appear here."""

    @model_validator(mode="after")
    def _distinct(self) -> Family:
        refuse_duplicates("checkpoints", (checkpoint.name for checkpoint in self.checkpoints))
        runs: dict[tuple[Any, ...], list[Checkpoint]] = {}
        for one in self.checkpoints:
            runs.setdefault((one.params, one.stage, one.step), []).append(one)
        for peers in runs.values():
            seeds = [one.seed for one in peers]
            if len(peers) > 1 and (None in seeds or len(set(seeds)) < len(seeds)):
                names = ", ".join(f"`{one.name}`" for one in peers)
                raise ValueError(
                    f"checkpoints {names} of family `{self.name}` have the same `params`, `stage` "
                    "and `step`: give each its own `seed`, all different, if they are training "
                    "runs of one recipe, else put one of them into another family"
                )
        return self
