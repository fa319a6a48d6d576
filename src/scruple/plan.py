"""What the Snakefile and its rules ask: paths, and the parts of a study that results depend on.

Cheap to import: no torch, no pandas.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scruple.checkpoints.local import state_of
from scruple.claims import RUN
from scruple.errors import ScrupleError
from scruple.overlays import check_overlays, shown
from scruple.placing import Placing
from scruple.preflight import check_study
from scruple.prompts import prompt_path
from scruple.shards import Shard
from scruple.sources import files_of, local_path
from scruple.study import ROOT, Family, Study, load_study
from scruple.unfinished import Job, advice, by_checkpoint, has_responses


def prepare_jobs() -> None:
    """Set the environment of jobs: where this library is, when the run began, how threads wait.

    OpenMP threads that wait actively take the cores from each other's processes: two busy jobs
    then take several times as long as one after the other.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault(RUN, str(time.time()))  # those of jobs, which look here too, know it
    earlier = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), earlier]))


_PLACE = {"params", "stage", "step"}


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


class Plan:
    """A checked study, and where its files go."""

    def __init__(
        self,
        config: Mapping[str, Any],
        overlays: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
        local: Callable[[], bool] = lambda: True,
    ) -> None:
        """Validate a config.

        Args:
            config: the merged config.
            overlays: files that were given with --configfile.
            options: what was given with --config.
            local: tells whether jobs run on this machine; known once snakemake has begun.

        Raises:
            ScrupleError: naming what is wrong and the remedy.
        """
        self._given = [str(shown(Path(overlay))) for overlay in overlays], dict(options or {})
        names = self._given[0] + (["--config"] if options else [])
        origin = "config.yaml" + (f" with {', '.join(names)}" if names else "")
        check_overlays([Path(overlay) for overlay in overlays], options or {}, origin)
        self.study: Study = load_study(config, origin)
        check_study(self.study)
        self.placing = Placing(self.study, local)
        self._unfinished = self._missing() if self.study.only_finished else []
        if self.study.only_finished and not self.jobs():
            raise ScrupleError(
                f"{origin}: `only_finished` makes figures of finished responses, and "
                f"results/{self.study.study}/responses has none of this study; run without it."
            )

    @staticmethod
    def one_of(names: Iterable[str]) -> str:
        """Return a regular expression that matches just these names."""
        return "|".join(re.escape(name) for name in dict.fromkeys(names))

    def figure(self, name: str) -> list[str]:
        """Return the files of one figure."""
        return [f"figures/{self.study.study}/{name}.{kind}" for kind in ("png", "svg", "pdf")]

    def item_tables(self) -> dict[str, str]:
        """Return the tables of items, by benchmark."""
        name = self.study.study
        return {b.name: f"results/{name}/items/{b.name}.parquet" for b in self.study.benchmarks}

    def source_files(self, benchmark: str) -> list[str]:
        """Return the files that a benchmark's items are read from."""
        entry = self.study.benchmark(benchmark)
        paths = [local_path(self.study, entry, file) for file in files_of(self.study, entry)]
        return [str(shown(path)) for path in paths]

    def jobs(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of every job whose responses results are made of.

        Those are all of the study; with `only_finished` those that have responses.
        """
        return [job for job in self._every_job() if job not in self._unfinished]

    def unfinished(self) -> dict[str, list[str]]:
        """Return `<family>/<checkpoint>` → benchmarks that are left out for want of responses."""
        return by_checkpoint(self._unfinished)

    def advice(self, snakefile: str) -> str:
        """Return what to say after a run that failed: how to have figures of what is finished.

        Nothing, if that is nothing or everything, or was asked for already.
        """
        missing = self._missing()
        if self.study.only_finished or len(missing) in (0, len(self._every_job())):
            return ""
        return advice(missing, snakefile, *self._given)

    def _every_job(self) -> list[Job]:
        return [
            (family, checkpoint, benchmark.name)
            for family, checkpoint in self.study.members()
            for benchmark in self.study.benchmarks
        ]

    def _missing(self) -> list[Job]:
        """Return the jobs without responses; those that share a process finish together."""
        missing = {job for job in self._every_job() if not has_responses(self.study.study, job)}
        for group in self.groups():
            shared = set(group.places())
            if missing & shared:
                missing |= shared
        return [job for job in self._every_job() if job in missing]

    def per_job(self, pattern: str) -> list[str]:
        """Fill a pattern's {family}, {checkpoint} and {benchmark} for each of `jobs`."""
        return [
            pattern.format(family=family, checkpoint=checkpoint, benchmark=benchmark)
            for family, checkpoint, benchmark in self.jobs()
        ]

    def per_checkpoint(self, pattern: str) -> list[str]:
        """Fill a pattern's {family} and {checkpoint} for each checkpoint of `jobs`."""
        return list(
            dict.fromkeys(pattern.format(family=f, checkpoint=c) for f, c, _ in self.jobs())
        )

    def per_benchmark(self, pattern: str) -> list[str]:
        """Fill a pattern's {benchmark} for each benchmark of `jobs`."""
        asked = {benchmark for _, _, benchmark in self.jobs()}
        names = (benchmark.name for benchmark in self.study.benchmarks)
        return [pattern.format(benchmark=name) for name in names if name in asked]

    def groups(self) -> list[Group]:
        """Return the jobs that several checkpoints share: a family's tiny ones, per benchmark."""
        return [
            Group(
                re.sub(r"\W", "_", f"{family.name}_{benchmark.name}_{place}_{number}"),
                family.name,
                checkpoints,
                benchmark.name,
            )
            for place, family in enumerate(self.study.families)
            if (checkpoints := self._sharing(family))
            for number, benchmark in enumerate(self.study.benchmarks)
        ]

    def asked(self, jobs: Iterable[tuple[str, Mapping[str, str], Any]]) -> list[Job]:
        """Return what jobs of snakemake ask.

        Args:
            jobs: rule, wildcards and output of each.
        """
        groups = {f"respond_{group.name}": group for group in self.groups()}
        found: list[Job] = []
        for rule, wildcards, _ in jobs:
            if rule in ("respond", "respond_shard"):
                found.append((wildcards["family"], wildcards["checkpoint"], wildcards["benchmark"]))
            elif rule in groups:
                found += groups[rule].places()
        return found

    def alone(self) -> str:
        """Return a regular expression for the families in paths of checkpoints with own jobs.

        It looks ahead to the checkpoint, which follows the family in every path.
        """
        choices = []
        for family in self.study.families:
            names = self._apart(family)
            if names:
                choices.append(f"{re.escape(family.name)}(?=/(?:{self.one_of(names)})/)")
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
        apart = {(f.name, name) for f in self.study.families for name in self._apart(f)}
        return self.placing.sharded(job for job in self._every_job() if job[:2] in apart)

    def _apart(self, family: Family) -> list[str]:
        """Return a family's checkpoints that have jobs of their own."""
        sharing = self._sharing(family)
        return [c.name for c in family.checkpoints if c.name not in sharing]

    def _sharing(self, family: Family) -> tuple[str, ...]:
        """Return a family's tiny checkpoints, if there are several to share a process."""
        limit = self.study.compute.share_below
        tiny = tuple(c.name for c in family.checkpoints if c.params < limit)
        return tiny if len(tiny) > 1 else ()

    def item_settings(self, benchmark: str) -> dict[str, Any]:
        """Return what the items of a benchmark depend on, beside their files."""
        entry = self.study.benchmark(benchmark)
        return {"seed": self.study.seed, "max_items": entry.max_items, "kind": entry.kind}

    def response_settings(
        self, family: str, checkpoints: Sequence[str], benchmark: str
    ) -> dict[str, Any]:
        """Return what responses depend on, beside items and weights.

        Device, batch size and paths are not among them: they change no response.
        """
        study, entry = self.study, self.study.benchmark(benchmark)
        prompts = {
            name: hashlib.sha256(prompt_path(study, name).read_bytes()).hexdigest()
            for name in (entry.kind, "dialogue")
        }
        return {
            "study": study.study,
            "seed": study.seed,
            "conditions": list(study.conditions),
            "wordings": list(study.wordings),
            "decoding": study.decoding.model_dump(),
            "scoring": list(entry.scoring),
            "orders": entry.orders,
            "formats": {name: study.format(family, name) for name in checkpoints},
            "dtype": study.compute.dtype,
            "engine": study.compute.engine,
            "prompts": prompts,
        }

    def places(self, family: str, checkpoints: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return where checkpoints stand on the study's axes."""
        return {
            name: self.study.checkpoint(family, name).model_dump(include=_PLACE)
            for name in checkpoints
        }

    def checkpoint_settings(self, family: str, checkpoint: str) -> dict[str, Any]:
        """Return what a checkpoint's manifest depends on: its origin and its files' state."""
        entry = self.study.checkpoint(family, checkpoint)
        return {
            **entry.model_dump(exclude={"stage", "step", "seed", "format", "shape", "unchecked"}),
            "hub": self.study.hub.model_dump() if entry.hub else None,
            "files": state_of(entry, self.study.hub),
        }

    def environment(self) -> str:
        """Return the name of the environment in which responses are computed."""
        return "vllm" if self.study.compute.engine == "vllm" else "scruple"

    def plain(self) -> dict[str, Any]:
        """Return the whole study as plain data, as it is written into the provenance.

        What is made of it, all or what is finished, is no part of it.
        """
        return self.study.model_dump(mode="json", exclude={"only_finished"})
