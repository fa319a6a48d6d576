"""How a study is divided into jobs: one checkpoint alone, in shards, or several in one process."""

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
    """Return a regular expression that matches exactly these names."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names))


@dataclass(frozen=True)
class Group:
    """Checkpoints of one family that are small enough to share a process.

    `name` is used in rule names and is unique within a study.
    """

    name: str
    family: str
    checkpoints: tuple[str, ...]
    benchmark: str

    def paths(self, pattern: str) -> list[str]:
        """Fill a pattern's {family}, {checkpoint} and {benchmark} for each checkpoint."""
        return [pattern.format(family=f, checkpoint=c, benchmark=b) for f, c, b in self.places()]

    def places(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of each of its jobs."""
        return [(self.family, checkpoint, self.benchmark) for checkpoint in self.checkpoints]


class Jobs:
    """The jobs that ask checkpoints, and the paths that belong to each."""

    def __init__(self, study: Study, resources: Resources) -> None:
        """Store the study; the number of shards is worked out when it is first needed."""
        self._study = study
        self._resources = resources

    def jobs(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of every job of the study."""
        return [
            (family, checkpoint, benchmark.name)
            for family, checkpoint in self._study.members()
            for benchmark in self._study.benchmarks
        ]

    def groups(self) -> list[Group]:
        """Return the groups of tiny checkpoints, one per family and benchmark."""
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
        """Return (family, checkpoint, benchmark) of everything that some snakemake jobs ask.

        Args:
            jobs: rule and wildcards of each snakemake job.
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
        """Return the claim files of those snakemake jobs that ask a checkpoint.

        Args:
            jobs: rule and wildcards of each snakemake job.
        """
        found = (claim_of(self._study.study, rule, wildcards) for rule, wildcards in jobs)
        return [claim for claim in found if claim]

    def alone(self) -> str:
        """Return a regular expression for {family} in paths of checkpoints with their own jobs.

        It looks ahead to the checkpoint, which follows the family in every path.
        """
        choices = []
        for family in self._study.families:
            names = self._apart(family)
            if names:
                choices.append(f"{re.escape(family.name)}(?=/(?:{one_of(names)})/)")
        return "|".join(choices) or "(?!)"

    def at_once(self) -> str:
        """Return the expression for {family} in paths of tables that one job makes in one go."""
        return f"(?!{self.in_shards()})(?:{self.alone()})"

    def in_shards(self) -> str:
        """Return the expression for {family} in paths of tables that are gathered from shards."""
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
        """Return the names of a family's checkpoints that have jobs of their own."""
        sharing = self._sharing(family)
        return [c.name for c in family.checkpoints if c.name not in sharing]

    def _sharing(self, family: Family) -> tuple[str, ...]:
        """Return the names of a family's tiny checkpoints if several can share a process."""
        limit = self._study.compute.share_below
        tiny = tuple(c.name for c in family.checkpoints if c.params < limit)
        return tiny if len(tiny) > 1 else ()
