"""Snakemake resources, priorities and groups of the jobs that ask a checkpoint.

Everything comes from the study's config and, for jobs that run on this machine, from its GPUs.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from scruple.costs.cards import card_of
from scruple.costs.demand import START_MINUTES, Demand, demand, shape_of
from scruple.costs.need import Card, need
from scruple.costs.workload import Workload, estimate
from scruple.errors import ScrupleError
from scruple.machine.gpus import visible_gpus
from scruple.responses.shards import PIECE, Shard, shards_of
from scruple.study.model import Study
from scruple.study.types import Job

SHORT = "short"
"""Group of short jobs; a profile may submit several of them as one cluster job."""


class Resources:
    """The resource demands of a study's jobs."""

    def __init__(self, study: Study, local: Callable[[], bool]) -> None:
        """Store the study; demands are worked out when they are first needed.

        Args:
            study: the study.
            local: returns whether jobs run on this machine; valid once snakemake has started.
        """
        self._study = study
        self.local = local
        self.demand = cache(self._demand)
        self.shards = cache(self._shards)
        self._work = cache(self._estimate)

    def rule(self, jobs: Sequence[Job] = ()) -> RuleResources:
        """Return the functions for a rule's `resources`, `priority` and `group` directives.

        Args:
            jobs: everything that the rule's single job asks; by default what its wildcards name.
        """
        return RuleResources(self, jobs)

    def sharded(self, jobs: Iterable[Job]) -> dict[Job, list[Shard]]:
        """Return job → its shards, for the jobs that have more than one."""
        return {job: found for job in jobs if len(found := self.shards(job)) > 1}

    def refuse_beyond(self, limit: int | None, jobs: Iterable[Job]) -> None:
        """Refuse jobs that need more GPUs than the run may use at once: they would never start.

        Args:
            limit: GPUs set by `--resources gpu=…` or by a profile; None for no limit.
            jobs: the jobs that will ask.

        Raises:
            ScrupleError: if there are such jobs; the message names checkpoints and remedies.
        """
        if limit is None:
            return
        beyond = {job[1]: n for job in jobs if (n := self.demand(job).gpus) > limit}
        if not beyond:
            return
        names = ", ".join(f"{name} ({gpus})" for name, gpus in beyond.items())
        raise ScrupleError(
            f"{names}: more GPUs than this run may use at once, which is {limit} (`resources: gpu` "
            f"of a profile, or `--resources`). Give `--resources gpu={max(beyond.values())}`, or "
            "`--workflow-profile workstation`, which takes all that are here; or leave "
            "large checkpoints out (`max_params`), or run without a GPU (`compute.device: cpu`)."
        )

    def _estimate(self, benchmark: str) -> Workload:
        return estimate(self._study, self._study.benchmark(benchmark))

    def _shards(self, job: Job) -> list[Shard]:
        return shards_of(count_shards(self._study, job, self._work(job[2]), self._card))

    def _demand(self, job: Job) -> Demand:
        card, here = self._card, self._here if self.local() else None
        if here and self._study.compute.gpu_memory is None and all(here):
            card = replace(card, memory_gb=min(here) / 1e9)
        found = demand(self._study, job, self._work(job[2]), card, len(self.shards(job)))
        # if the GPUs here are too small for the weights, the preflight check refuses the run
        return found if here is None else replace(found, gpus=min(found.gpus, len(here)))

    @cached_property
    def _card(self) -> Card:
        return card_of(self._study)

    @cached_property
    def _here(self) -> list[int]:
        return [gpu.memory for gpu in visible_gpus()]


def count_shards(study: Study, job: Job, work: Workload, card: Card) -> int:
    """Return the number of shards of a job.

    There are enough to keep each below `compute.shard_hours` on the card, but no more than leaves
    each at least PIECE prompts. A finished job keeps the number in its record, whatever the config
    says by then, so that nothing is asked again. The number is 1 if the model runs on the CPU, or
    if neither the family file nor a local folder gives its shape.

    Args:
        study: the study.
        job: the job.
        work: its workload, estimated from the config alone.
        card: the GPU to plan for.
    """
    record = Path("results", study.study, "responses", *job).with_suffix(".json")
    # an unreadable record is ignored here; the code that needs all of it reports the error
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        return max(1, int(json.loads(record.read_text(encoding="utf-8")).get("shards", 1)))
    checkpoint = study.checkpoint(*job[:2])
    # the hub's cache differs between machines, so a shape from there must not count
    shape = checkpoint.shape or (shape_of(checkpoint, study.hub) if checkpoint.path else None)
    if shape is None or study.compute.device == "cpu":
        return 1
    compute = study.compute
    hours = need(shape, work, compute.dtype_on(gpu=True), card, compute.engine).hours
    return max(1, min(math.ceil(hours / compute.shard_hours), work.prompts // PIECE))


class RuleResources:
    """Functions for a rule's `resources`, `priority` and `group` directives."""

    def __init__(self, resources: Resources, jobs: Sequence[Job]) -> None:
        """See `Resources.rule`."""
        self._resources = resources
        self._places = jobs

    def gpus(self, wildcards: Any) -> int:
        """Return the number of GPUs."""
        return max(one.gpus for one in self._demands(wildcards))

    def memory(self, wildcards: Any, attempt: int) -> int:
        """Return the main memory in MB, doubled at each further attempt."""
        return max(one.memory_mb for one in self._demands(wildcards)) * 2 ** (attempt - 1)

    def minutes(self, wildcards: Any, attempt: int) -> int:
        """Return the time limit in minutes, doubled at each further attempt."""
        work = sum(one.minutes - START_MINUTES for one in self._demands(wildcards))
        return (START_MINUTES + work) * 2 ** (attempt - 1)

    def priority(self, wildcards: Any) -> int:
        """Return the priority, which is higher for longer jobs: they should start first."""
        return self.minutes(wildcards, attempt=1)

    def group(self, wildcards: Any) -> str | None:
        """Return the group of short jobs; None for other jobs and for jobs on this machine."""
        if self._resources.local():
            return None
        return SHORT if all(one.short for one in self._demands(wildcards)) else None

    def _demands(self, wildcards: Any) -> list[Demand]:
        named = (
            [] if self._places else [(wildcards.family, wildcards.checkpoint, wildcards.benchmark)]
        )
        return [self._resources.demand(job) for job in self._places or named]
