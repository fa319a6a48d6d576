"""How what a study asks is divided into jobs: alone, in shards, or several in one process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scruple.responses.shards import Shard
from scruple.study.families import Family
from scruple.study.model import Study
from scruple.study.types import Job
from scruple.workflow.claims import claim_of
from scruple.workflow.resources import Resources


def one_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches just these names."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names))


@dataclass(frozen=True)
class Group:
    """Checkpoints of one family that are so small that they share a process.

    `name` is for rules: no two groups of a study have the same.
    """

    name: str
    family: str
    checkpoints: tuple[str, ...]
    benchmark: str

    def paths(self, pattern: str) -> list[str]:
        """Fill a pattern's {family}, {checkpoint} and {benchmark} for each checkpoint."""
        return [pattern.format(family=f, checkpoint=c, benchmark=b) for f, c, b in self.places()]

    def places(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of all that it asks."""
        return [(self.family, checkpoint, self.benchmark) for checkpoint in self.checkpoints]


class Jobs:
    """The jobs that ask: which there are, and which paths are whose."""

    def __init__(self, study: Study, resources: Resources) -> None:
        """Look at nothing yet: how many shards there are is worked out when it is asked."""
        self._study = study
        self._resources = resources

    def jobs(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of everything that the study asks."""
        return [
            (family, checkpoint, benchmark.name)
            for family, checkpoint in self._study.members()
            for benchmark in self._study.benchmarks
        ]

    def groups(self) -> list[Group]:
        """Return the jobs that several checkpoints share: a family's tiny ones, per benchmark."""
        return [
            Group(
                re.sub(r"\W", "_", f"{family.name}_{benchmark.name}_{place}_{number}"),
                family.name,
                checkpoints,
                benchmark.name,
            )
            for place, family in enumerate(self._study.families)
            if (checkpoints := self._sharing(family))
            for number, benchmark in enumerate(self._study.benchmarks)
        ]

    def asked(self, jobs: Iterable[tuple[str, Mapping[str, str]]]) -> list[Job]:
        """Return what jobs of snakemake ask.

        Args:
            jobs: rule and wildcards of each.
        """
        groups = {f"respond_{group.name}": group for group in self.groups()}
        found: list[Job] = []
        for rule, wildcards in jobs:
            if rule in ("respond", "respond_shard"):
                found.append((wildcards["family"], wildcards["checkpoint"], wildcards["benchmark"]))
            elif rule in groups:
                found += groups[rule].places()
        return found

    def claims(self, jobs: Iterable[tuple[str, Mapping[str, str]]]) -> list[Path]:
        """Return the files in which the outputs of jobs that ask are claimed.

        Args:
            jobs: rule and wildcards of each.
        """
        found = (claim_of(self._study.study, rule, wildcards) for rule, wildcards in jobs)
        return [claim for claim in found if claim]

    def alone(self) -> str:
        """Return a regular expression for the families in paths of checkpoints with own jobs.

        It looks ahead to the checkpoint, which follows the family in every path.
        """
        choices = []
        for family in self._study.families:
            names = self._apart(family)
            if names:
                choices.append(f"{re.escape(family.name)}(?=/(?:{one_of(names)})/)")
        return "|".join(choices) or "(?!)"

    def at_once(self) -> str:
        """Return such an expression for tables of responses that one job makes, without shards."""
        return f"(?!{self.in_shards()})(?:{self.alone()})"

    def in_shards(self) -> str:
        """Return such an expression for tables that are gathered from shards."""
        choices = [
            f"{re.escape(family)}(?=/{re.escape(checkpoint)}/{re.escape(benchmark)}[./])"
            for family, checkpoint, benchmark in self._sharded
        ]
        return "|".join(choices) or "(?!)"

    def shards(self, pattern: str, wildcards: Any) -> list[str]:
        """Fill a pattern's {shard} for each shard of a table."""
        place = (wildcards.family, wildcards.checkpoint, wildcards.benchmark)
        return [pattern.format(**wildcards, shard=shard) for shard in self._sharded.get(place, [])]

    @cached_property
    def _sharded(self) -> dict[Job, list[Shard]]:
        apart = {(f.name, name) for f in self._study.families for name in self._apart(f)}
        return self._resources.sharded(job for job in self.jobs() if job[:2] in apart)

    def _apart(self, family: Family) -> list[str]:
        """Return a family's checkpoints that have jobs of their own."""
        sharing = self._sharing(family)
        return [c.name for c in family.checkpoints if c.name not in sharing]

    def _sharing(self, family: Family) -> tuple[str, ...]:
        """Return a family's tiny checkpoints, if there are several to share a process."""
        limit = self._study.compute.share_below
        tiny = tuple(c.name for c in family.checkpoints if c.params < limit)
        return tiny if len(tiny) > 1 else ()
