"""The axes of a study (size, stage and step) and the checkpoints at each of their places."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scruple.study.families import Checkpoint, Family

Recipe = tuple[int, str, int | None]
"""Size, stage and step. Checkpoints that share all three are training runs of one recipe."""
Place = float | str
"""A point on an axis: a number of parameters, a training step, or the name of a stage."""


@dataclass(frozen=True)
class Axis:
    """A line of recipes along which size, stage or step grows.

    Attributes:
        kind: what grows along the axis, as in the config's `axes`: size, stage or step.
        at: the number of parameters that all its recipes share; None on a size axis.
        stage: the stage that all its recipes share; empty on a stage axis.
        places: place → names of the checkpoints there, in the order of the axis.
    """

    kind: str
    at: int | None
    stage: str
    places: Mapping[Place, tuple[str, ...]]

    @property
    def name(self) -> str:
        """Return the axis's name in tables: `params`, `stage at <params>` or `step at <params>`."""
        return "params" if self.at is None else f"{self.kind} at {self.at}"


def recipes_of(family: Family) -> dict[Recipe, tuple[str, ...]]:
    """Return recipe → names of the checkpoints that are its training runs."""
    found: dict[Recipe, list[str]] = {}
    for checkpoint in family.checkpoints:
        found.setdefault(_recipe(checkpoint), []).append(checkpoint.name)
    return {recipe: tuple(names) for recipe, names in found.items()}


def last_steps(family: Family) -> dict[tuple[int, str], Recipe]:
    """Return (size, stage) → the recipe of their last step."""
    last: dict[tuple[int, str], Recipe] = {}
    for recipe in sorted(recipes_of(family), key=lambda one: -1 if one[2] is None else one[2]):
        last[recipe[:2]] = recipe
    return last


def axes_of(family: Family, chosen: Collection[str]) -> list[Axis]:
    """Return a family's axes of the chosen kinds, if they have more than one place.

    A size axis takes the recipes of one stage, each at its last step. A stage axis takes those of
    one size, each at its last step, in the order in which the family lists the stages. A step axis
    takes all steps of one size and stage.
    """
    recipes, last = recipes_of(family), last_steps(family)
    stages = list(dict.fromkeys(checkpoint.stage for checkpoint in family.checkpoints))
    sizes = sorted({params for params, _, _ in recipes})
    axes = [
        Axis("size", None, stage, {
            float(params): recipes[last[params, stage]]
            for params in sizes if (params, stage) in last
        })
        for stage in stages
    ]  # fmt: skip
    for size in sizes:
        mine = [stage for stage in stages if (size, stage) in last]
        axes.append(Axis("stage", size, "", {stage: recipes[last[size, stage]] for stage in mine}))
        for stage in mine:
            steps = sorted(
                step
                for params, name, step in recipes
                if (params, name) == (size, stage) and step is not None
            )
            places: dict[Place, tuple[str, ...]] = {
                float(step): recipes[size, stage, step] for step in steps
            }
            axes.append(Axis("step", size, stage, places))
    return [axis for axis in axes if len(axis.places) > 1 and axis.kind in chosen]


def _recipe(checkpoint: Checkpoint) -> Recipe:
    return checkpoint.params, checkpoint.stage, checkpoint.step
