"""Families of checkpoints as typed objects: where each comes from, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from scruple.study.architecture import Shape
from scruple.study.types import Name, Strict

Format = Literal["auto", "chat", "dialogue"]
Scoring = Literal["letter", "text"]
Repository = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
"""A repository of the hub: owner and name."""


class Hub(Strict):
    """What may be taken from the hub.

    Attributes:
        allow_pickle: whether weights may be pickled where there are no safetensors. They are read
            by PyTorch's restricted unpickler, which runs nothing.
        allow_code: repositories whose own Python code may be run, where transformers lacks their
            architecture.
    """

    allow_pickle: bool = False
    allow_code: tuple[Repository, ...] = ()


NOTHING_UNSAFE = Hub()


class Checkpoint(Strict):
    """One set of weights: where it comes from and where it stands on the study's axes.

    `shape` are its architecture's numbers, from which a plan works out what it needs; `unchecked`
    says that its name or size could not be looked up when it was written down.

    Checkpoints of the same size, stage and step are training runs of one recipe, told apart by
    their `seed`.
    """

    name: Name
    params: Annotated[int, Field(gt=0)]
    stage: Name = "base"
    step: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    format: Format | None = None
    hub: Repository | None = None
    revision: Annotated[str, StringConstraints(min_length=1)] | None = None
    path: str | None = None
    package: str | None = None
    file: str | None = None
    shape: Shape | None = None
    unchecked: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Checkpoint:
        given = [key for key in ("hub", "path", "package") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"checkpoint `{self.name}` needs exactly one origin, and has "
                f"{' and '.join(given) or 'none'}: give `hub` (a repository's name), `path` "
                "(a local folder), or `package` with `file` (a GGUF file inside an installed "
                "Python package)"
            )
        if (self.package is None) != (self.file is None):
            raise ValueError(f"checkpoint `{self.name}`: `package` and `file` go together")
        if self.shape is not None and abs(self.shape.params() / self.params - 1) > 0.02:
            raise ValueError(
                f"checkpoint `{self.name}` has `params: {self.params}`, and its `shape` makes "
                f"{self.shape.params()}: correct one of them"
            )
        if self.revision is not None and self.hub is None:
            raise ValueError(f"checkpoint `{self.name}`: `revision` goes with `hub` only")
        return self


class Family(Strict):
    """Checkpoints of one recipe that differ in size, stage or step.

    A `note` is what every figure and report must say of them.
    """

    name: Name
    format: Format = "auto"
    primary_scoring: Scoring = "text"
    note: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    licence: str | None = None
    checkpoints: Annotated[tuple[Checkpoint, ...], Field(min_length=1)]

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


def refuse_duplicates(key: str, names: Iterable[str]) -> None:
    """Refuse a list that names something twice (ValueError)."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`{key}` names {', '.join(twice)} more than once: rename or remove one")
