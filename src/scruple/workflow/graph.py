"""What the Snakefile and its rules need: paths, and the settings that results depend on.

Cheap to import: neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.checkpoints.local import state_of
from scruple.errors import ScrupleError
from scruple.fetch.sources import files_of, local_path
from scruple.prompts.files import dialogue_path, prompt_path
from scruple.study.conditions import CONTROLS
from scruple.study.model import ROOT, Study, load_study
from scruple.study.overrides import check_overrides, shown
from scruple.study.types import Job
from scruple.study.unfinished import by_checkpoint, has_responses
from scruple.workflow.claims import begin_run
from scruple.workflow.jobs import Jobs, one_of
from scruple.workflow.preflight import check_study
from scruple.workflow.resources import Resources
from scruple.workflow.unfinished import advice


def prepare_jobs() -> None:
    """Set environment variables for jobs: library path, start of the run, OpenMP wait policy.

    With active waiting, OpenMP threads of one process take the cores of another. Two busy jobs at
    once then take several times as long as one after the other.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    begin_run()
    earlier = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), earlier]))


_PLACE = {"params", "stage", "step"}


class Plan:
    """A checked study and the paths of its files."""

    def __init__(
        self,
        config: Mapping[str, Any],
        overrides: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
        local: Callable[[], bool] = lambda: True,
    ) -> None:
        """Validate a config and check its study.

        Args:
            config: the merged config.
            overrides: config overrides given with --configfile.
            options: config overrides given with --config.
            local: returns whether jobs run on this machine; valid once snakemake has started.

        Raises:
            ScrupleError: if something is wrong; the message names it and the remedy.
        """
        self._given = [str(shown(Path(override))) for override in overrides], dict(options or {})
        names = self._given[0] + (["--config"] if options else [])
        origin = "config.yaml" + (f" with {', '.join(names)}" if names else "")
        check_overrides([Path(override) for override in overrides], options or {}, origin)
        self.study: Study = load_study(config, origin)
        check_study(self.study)
        self.resources = Resources(self.study, local)
        self.asking = Jobs(self.study, self.resources)
        self._unfinished = self._missing() if self.study.only_finished else []
        if self.study.only_finished and not self.jobs():
            raise ScrupleError(
                f"{origin}: `only_finished` makes figures of finished responses, and "
                f"results/{self.study.study}/responses has none of this study; run without it."
            )

    one_of = staticmethod(one_of)

    def figure(self, name: str) -> list[str]:
        """Return the files of one figure."""
        return [f"figures/{self.study.study}/{name}.{kind}" for kind in ("png", "svg", "pdf")]

    def item_tables(self) -> dict[str, str]:
        """Return benchmark → path of its table of items."""
        name = self.study.study
        return {b.name: f"results/{name}/items/{b.name}.parquet" for b in self.study.benchmarks}

    def source_files(self, benchmark: str) -> list[str]:
        """Return the paths of the files from which a benchmark's items are read."""
        entry = self.study.benchmark(benchmark)
        paths = [local_path(self.study, entry, file) for file in files_of(self.study, entry)]
        return [str(shown(path)) for path in paths]

    def jobs(self) -> list[Job]:
        """Return (family, checkpoint, benchmark) of every job whose responses the results use.

        These are all jobs of the study or, with `only_finished`, those that have responses.
        """
        unfinished = set(self._unfinished)
        return [job for job in self.asking.jobs() if job not in unfinished]

    def unfinished(self) -> dict[str, list[str]]:
        """Return `<family>/<checkpoint>` → benchmarks left out because they have no responses."""
        return by_checkpoint(self._unfinished)

    def advice(self, snakefile: str) -> str:
        """Return the advice after a failed run: how to make figures of the finished responses.

        It is empty if no job has finished, if all have, or if `only_finished` is already set.
        """
        missing = self._missing()
        if self.study.only_finished or len(missing) in (0, len(self.asking.jobs())):
            return ""
        return advice(missing, snakefile, *self._given)

    def _missing(self) -> list[Job]:
        """Return the jobs without responses; jobs that share a process finish together."""
        missing = {job for job in self.asking.jobs() if not has_responses(self.study.study, job)}
        for group in self.asking.groups():
            shared = set(group.places())
            if missing & shared:
                missing |= shared
        return [job for job in self.asking.jobs() if job in missing]

    def per_job(self, pattern: str) -> list[str]:
        """Fill a pattern's {family}, {checkpoint} and {benchmark} for each job in `jobs`."""
        return [
            pattern.format(family=family, checkpoint=checkpoint, benchmark=benchmark)
            for family, checkpoint, benchmark in self.jobs()
        ]

    def per_checkpoint(self, pattern: str) -> list[str]:
        """Fill a pattern's {family} and {checkpoint} for each checkpoint in `jobs`."""
        return list(
            dict.fromkeys(pattern.format(family=f, checkpoint=c) for f, c, _ in self.jobs())
        )

    def per_benchmark(self, pattern: str) -> list[str]:
        """Fill a pattern's {benchmark} for each benchmark in `jobs`."""
        asked = {benchmark for _, _, benchmark in self.jobs()}
        names = (benchmark.name for benchmark in self.study.benchmarks)
        return [pattern.format(benchmark=name) for name in names if name in asked]

    def item_settings(self, benchmark: str) -> dict[str, Any]:
        """Return the settings that a benchmark's items depend on, apart from their files."""
        entry = self.study.benchmark(benchmark)
        return {"seed": self.study.seed, "max_items": entry.max_items, "kind": entry.kind}

    def response_settings(
        self, family: str, checkpoints: Sequence[str], benchmark: str
    ) -> dict[str, Any]:
        """Return the settings that responses depend on, apart from items and weights.

        Device, batch size and paths are left out, because they change no response.
        """
        study, entry = self.study, self.study.benchmark(benchmark)
        prompts = {
            path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (prompt_path(study, entry), dialogue_path(study, entry))
        }
        return {
            "study": study.study,
            "seed": study.seed,
            "conditions": list(study.conditions),
            "wordings": list(study.wordings),
            "decoding": study.decoding.model_dump(),
            "scoring": list(entry.scoring),
            "orders": entry.orders,
            "writing": {name: list(study.writing(family, name)) for name in checkpoints},
            "dtype": study.compute.dtype,
            "engine": study.compute.engine,
            "prompts": prompts,
        }

    def language(self, benchmark: str) -> str:
        """Return the language of a benchmark's prompts."""
        return self.study.language_of(self.study.benchmark(benchmark))

    def controls(self) -> list[str]:
        """Return the conditions that others are compared with, beside `q`."""
        return [name for name in self.study.conditions if name in CONTROLS]

    def places(self, family: str, checkpoints: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return checkpoint → its size, stage and step: its places on the study's axes."""
        return {
            name: self.study.checkpoint(family, name).model_dump(include=_PLACE)
            for name in checkpoints
        }

    def checkpoint_settings(self, family: str, checkpoint: str) -> dict[str, Any]:
        """Return what a checkpoint's manifest depends on: its origin and the state of its files."""
        entry = self.study.checkpoint(family, checkpoint)
        return {
            **entry.model_dump(
                exclude=_PLACE | {"seed", "format", "template", "shape", "unchecked"}
            ),
            "params": entry.params,
            "date": self.study.date,
            "hub": self.study.hub.model_dump() if entry.hub else None,
            "files": state_of(entry, self.study.hub),
        }

    def environment(self) -> str:
        """Return the name of the conda environment for response jobs."""
        return "vllm" if self.study.compute.engine == "vllm" else "scruple"

    def plain(self) -> dict[str, Any]:
        """Return the whole study as plain data, for the provenance.

        `only_finished` is left out: it selects what is made of the study and is not part of it.
        """
        return self.study.model_dump(mode="json", exclude={"only_finished"})
