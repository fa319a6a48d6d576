"""The config as typed objects.

A study is defined by `config.yaml` and config overrides, for example a file from `studies/`. Errors
in the config that can be detected without the network and without a checkpoint are reported here,
before snakemake builds the DAG of jobs. This module must stay fast to import, because the Snakefile
and every job import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date as Date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from scruple.errors import ScrupleError
from scruple.study.families import Checkpoint, Family, Hub, Writing, refuse_duplicates
from scruple.study.kinds import KINDS
from scruple.study.margins import Margin, Margins, check_metrics
from scruple.study.messages import explain
from scruple.study.settings import Benchmark, Compute, Decoding
from scruple.study.types import Name, Strict

ROOT = Path(__file__).resolve().parents[3]
"""The project's folder; relative paths in the config start here, and it contains `data/`."""


AxisKind = Literal["size", "stage", "step"]


_Entry = TypeVar("_Entry", Family, Checkpoint, Benchmark)


def _day(value: Any) -> str:
    """Return a date as text; YAML reads one without quotes as a date. Else raise ValueError."""
    try:
        return Date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise ValueError(f"give a date as YYYY-MM-DD; it is {value!r}") from None


class Study(Strict):
    """The whole config of a study.

    Checkpoints with more than `max_params` parameters are removed from the families, as if they
    were not listed.
    """

    study: Name
    """The study's name, and the name of its folders in results/ and figures/."""
    seed: int = 0
    """Determines which items are drawn and, with the study's name, every sampled token."""
    language: Name = "en"
    """The language of the prompts and of the project's own items."""
    prompts: str = "data/prompts"
    """The folder that contains <language>/<kind of benchmark>.yaml."""
    sources: str = "data/sources.yaml"
    """The file that lists where the benchmark files come from, with their hashes."""
    date: Annotated[str, BeforeValidator(_day)] = "2024-07-26"
    """The date that chat templates take for today's (YYYY-MM-DD), so that prompts never change."""
    mirror: Annotated[str, StringConstraints(min_length=1)] | None = None
    """A local folder that is searched for benchmark files before the network."""
    max_params: Annotated[int, Field(gt=0)] | None = None  # must precede `families`
    """Checkpoints with more parameters are left out, as if they were not listed."""
    families: Annotated[tuple[Family, ...], Field(min_length=1)]
    """Families of checkpoints: names of files in data/families, or families written out."""
    benchmarks: Annotated[tuple[Benchmark, ...], Field(min_length=1)]
    """The benchmarks to run."""
    conditions: Annotated[tuple[str, ...], Field(min_length=1)]
    """The conditions under which the benchmarks are run; must include `q`."""
    wordings: Annotated[tuple[Name, ...], Field(min_length=1)] = ("a",)
    """The wordings of the instructions to run; figures show the first."""
    axes: Annotated[tuple[AxisKind, ...], Field(min_length=1)] = ("size", "stage", "step")
    """The axes along which verdicts are made."""
    margins: Annotated[Margins, Field(default_factory=dict)]
    """What counts as bias and how much of it matters, per benchmark or kind of benchmark."""
    decoding: Decoding = Decoding()
    """How reasoning is sampled: maximum length, temperature, number of samples."""
    hub: Hub = Hub()
    """Whether pickled weights and code that comes with checkpoints may be used."""
    compute: Compute = Compute()
    """Where and how responses are computed: engine, device, number format, batches."""
    only_finished: bool = False
    """Run no new trials; make tables, figures and the report from the finished responses."""

    @field_validator("study")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in ("sources", "store", "control-family", "logs"):
            raise ValueError(f"`{value}` is a folder of the workflow's own; choose another name")
        return value

    @field_validator("benchmarks")
    @classmethod
    def _distinct_benchmarks(cls, benchmarks: tuple[Benchmark, ...]) -> tuple[Benchmark, ...]:
        refuse_duplicates("benchmarks", (benchmark.name for benchmark in benchmarks))
        return benchmarks

    @field_validator("margins")
    @classmethod
    def _name_metrics(
        cls, margins: Mapping[str, Margin], info: ValidationInfo
    ) -> Mapping[str, Margin]:
        """Raise ValueError if a margin's key is unknown, or if it names an unknown metric."""
        benchmarks: tuple[Benchmark, ...] = info.data.get("benchmarks", ())
        for key, margin in margins.items():
            kinds = [benchmark.kind for benchmark in benchmarks if benchmark.name == key]
            if key in KINDS and any(
                benchmark.kind == key and benchmark.name not in margins for benchmark in benchmarks
            ):
                kinds.append(key)
            if not kinds and key not in KINDS:
                names = dict.fromkeys([*(benchmark.name for benchmark in benchmarks), *KINDS])
                raise ValueError(
                    f"`{key}` is neither a benchmark of this study nor a kind of benchmark; "
                    f"possible: {', '.join(names)}"
                )
            for kind in kinds or [key]:
                check_metrics(key, margin, KINDS[kind])
        return margins

    @field_validator("families", mode="before")
    @classmethod
    def _read_families(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [_read_family(entry) if isinstance(entry, str) else entry for entry in value]
        return value

    @field_validator("families")
    @classmethod
    def _leave_out_large(
        cls, families: tuple[Family, ...], info: ValidationInfo
    ) -> tuple[Family, ...]:
        limit = info.data.get("max_params")
        if limit is None:
            return families
        within = {
            family.name: tuple(c for c in family.checkpoints if c.params <= limit)
            for family in families
        }
        if not any(within.values()):
            smallest = min((c for f in families for c in f.checkpoints), key=lambda c: c.params)
            raise ValueError(
                f"every checkpoint has more parameters than `max_params: {limit}` allows; the "
                f"smallest is `{smallest.name}` with {smallest.params}: raise `max_params`, or "
                "name smaller checkpoints"
            )
        return tuple(
            family.model_copy(update={"checkpoints": within[family.name]})
            for family in families
            if within[family.name]
        )

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        refuse_duplicates("families", (family.name for family in self.families))
        refuse_duplicates("conditions", self.conditions)
        refuse_duplicates("wordings", self.wordings)
        refuse_duplicates("axes", self.axes)
        self._check_primary_scoring()
        if "q" not in self.conditions:
            raise ValueError(
                "`conditions` lacks `q`, the plain question that every other condition is "
                "compared with: add it"
            )
        return self

    def _check_primary_scoring(self) -> None:
        for family in self.families:
            for benchmark in self.benchmarks:
                wanted = family.primary_scoring
                if benchmark.traits.has_options and wanted not in benchmark.scoring:
                    raise ValueError(
                        f"family `{family.name}` has `primary_scoring: {wanted}`, "
                        f"and benchmark `{benchmark.name}` is not scored so: add it to `scoring`, "
                        "or declare the other one primary"
                    )

    def family(self, name: str) -> Family:
        """Return the family of that name (KeyError if there is none)."""
        return _named(self.families, name)

    def checkpoint(self, family: str, name: str) -> Checkpoint:
        """Return one checkpoint of a family (KeyError if there is none)."""
        return _named(self.family(family).checkpoints, name)

    def benchmark(self, name: str) -> Benchmark:
        """Return the benchmark of that name (KeyError if there is none)."""
        return _named(self.benchmarks, name)

    def margin(self, benchmark: Benchmark) -> Margin | None:
        """Return the margin for a benchmark's name, else the one for its kind; None without any."""
        return self.margins.get(benchmark.name, self.margins.get(benchmark.kind))

    def language_of(self, benchmark: Benchmark) -> str:
        """Return the language of a benchmark's prompts: its own setting, else the study's."""
        return benchmark.language or self.language

    def primary_scoring(self, family: str, benchmark: Benchmark) -> str:
        """Return a family's primary scoring on a benchmark; empty if its items have no options."""
        wanted = self.family(family).primary_scoring
        return wanted if wanted in benchmark.scorings else benchmark.scorings[0]

    def writing(self, family: str, checkpoint: str) -> Writing:
        """Return how turns are written for a checkpoint: its own settings, else its family's."""
        recipe, own = self.family(family), self.checkpoint(family, checkpoint)
        template = own.template or recipe.template
        return Writing(own.format or recipe.format, template, self.date)

    def members(self) -> list[tuple[str, str]]:
        """Return (family, checkpoint) for every checkpoint, in config order."""
        return [(f.name, c.name) for f in self.families for c in f.checkpoints]


def _named(entries: Iterable[_Entry], name: str) -> _Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise KeyError(name)


def load_study(config: Mapping[str, Any], origin: str = "config.yaml") -> Study:
    """Build a study from a config that was read from YAML.

    Args:
        config: the config, with all overrides merged.
        origin: the file or files that it came from, for error messages.

    Raises:
        ScrupleError: if the config is not valid; the message names each wrong key and the remedy.
    """
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        raise ScrupleError(explain(error, Study, origin)) from None


def resolve(path: str | Path) -> Path:
    """Return a path from the config as an absolute path; relative paths start at ROOT."""
    return ROOT / Path(path).expanduser()


def read_yaml(path: Path) -> Any:
    """Read a YAML file (ScrupleError if it is missing or not valid YAML)."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScrupleError(f"{path}: cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is a ValueError
        raise ScrupleError(f"{path}: not valid YAML: {error}") from None


def _read_family(name: str) -> Any:
    path = ROOT / "data" / "families" / f"{name}.yaml"
    if path.parent != path.resolve().parent or not path.is_file():
        known = sorted(entry.stem for entry in path.parent.glob("*.yaml"))
        raise ValueError(
            f"no family file data/families/{name}.yaml; there are: {', '.join(known)}. "
            "Name one of them, or write the family out in the config"
        )
    try:
        return Family.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        raise ScrupleError(explain(error, Family, f"data/families/{name}.yaml")) from None
