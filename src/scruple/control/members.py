"""The checkpoints of the control family. Cheap to import, because the Snakefile does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TWINS = ("positive", "negative")
"""Instructions mean something in the positive twin, and nothing in the negative twin."""
SEEDS = (11, 12, 13)
"""Seeds of initial weights and documents. None of them was used while designing the family."""
EMBEDDED_SEED = SEEDS[0]
"""The seed of the embedded study; its largest width also keeps earlier training steps."""
WIDTHS = (4, 8, 16, 32, 64, 96)
STEPS = (250, 500, 1000, 3000)
"""Training steps after which a checkpoint is saved; training ends after the last."""


@dataclass(frozen=True)
class Member:
    """One training run of the family."""

    twin: str
    seed: int
    width: int

    @property
    def title(self) -> str:
        """Return the name for logs and model cards."""
        return f"control family, {self.twin} twin, seed {self.seed}, width {self.width}"

    def folder(self, root: Path, step: int = STEPS[-1]) -> Path:
        """Return the folder of a step's checkpoint, given the folder of the whole family."""
        return root / self.twin / f"seed-{self.seed}" / f"d{self.width}" / f"step{step}"


def members(seeds: tuple[int, ...] = SEEDS) -> Iterator[Member]:
    """Yield the training runs of the given seeds, for both twins and all widths."""
    for twin in TWINS:
        for seed in seeds:
            for width in WIDTHS:
                yield Member(twin, seed, width)


def shipped() -> Iterator[tuple[Member, int]]:
    """Yield the training run and step of each checkpoint that comes with the project."""
    for member in members():
        early = member.seed == EMBEDDED_SEED and member.width == WIDTHS[-1]
        for step in STEPS if early else STEPS[-1:]:
            yield member, step
