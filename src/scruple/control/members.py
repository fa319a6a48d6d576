"""Which checkpoints the control family has. Cheap to import: the Snakefile does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TWINS = ("positive", "negative")
"""In the positive twin instructions mean something; in the negative one they mean nothing."""
SEEDS = (11, 12, 13)
"""Of initial weights and documents. None of them was used while the family was designed."""
EMBEDDED_SEED = SEEDS[0]
"""The seed of the embedded study, of which checkpoints along training are kept too."""
WIDTHS = (4, 8, 16, 32, 64, 96)
STEPS = (250, 500, 1000, 3000)
"""Training steps after which a checkpoint is saved; training ends with the last."""


@dataclass(frozen=True)
class Member:
    """One training run of the family."""

    twin: str
    seed: int
    width: int

    @property
    def title(self) -> str:
        """Return what it is called in logs and on model cards."""
        return f"control family, {self.twin} twin, seed {self.seed}, width {self.width}"

    def folder(self, root: Path, step: int = STEPS[-1]) -> Path:
        """Return where the checkpoint of a step lies under a folder of the whole family."""
        return root / self.twin / f"seed-{self.seed}" / f"d{self.width}" / f"step{step}"


def members(seeds: tuple[int, ...] = SEEDS) -> Iterator[Member]:
    """Yield the training runs of some seeds: both twins, all widths."""
    for twin in TWINS:
        for seed in seeds:
            for width in WIDTHS:
                yield Member(twin, seed, width)


def shipped() -> Iterator[tuple[Member, int]]:
    """Yield the checkpoints that come with the project: a training run, and the step of it."""
    for member in members():
        early = member.seed == EMBEDDED_SEED and member.width == WIDTHS[-1]
        for step in STEPS if early else STEPS[-1:]:
            yield member, step
