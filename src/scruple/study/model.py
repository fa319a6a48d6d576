"""The config as typed objects.

A study is what `config.yaml`, overlaid with a file of `studies/`, says. Everything that can be
known to be wrong without touching the network or a checkpoint is refused here, before the
workflow's graph is built. This module must stay cheap to import: the Snakefile reads it at every
start, and so does every job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from scruple.study.families import Checkpoint, Family, Hub, Scoring, refuse_duplicates
from scruple.study.kinds import Kind
from scruple.study.margins import Margins
from scruple.study.messages import explain
from scruple.study.types import Name, Strict

ROOT = Path(__file__).resolve().parents[3]
"""The project's folder: relative paths of the config and of `data/` start here."""


def _tokens(value: Any) -> Any:
    """Refuse what is neither `auto` nor a number of tokens."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not counts and value != "auto":
        raise ValueError(f"give a whole number above 0, or `auto`; it is {value!r}")
    return value


AxisKind = Literal["size", "stage", "step"]


class Benchmark(Strict):
    """One benchmark of the study: which items, how many, how they are put and scored."""

    name: Name
    kind: Kind
    source: Name = "upstream"
    max_items: Annotated[int, Field(gt=0)] | None = None
    categories: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    scoring: Annotated[tuple[Scoring, ...], Field(min_length=1)] = ("letter", "text")
    orders: Annotated[int, Field(ge=1, le=6)] = 1

    @model_validator(mode="before")
    @classmethod
    def _kind_is_name(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("kind") is None and "name" in values:
            return {**values, "kind": values["name"]}
        return values

    @model_validator(mode="after")
    def _only_bbq(self) -> Benchmark:
        extra = {"categories", "scoring", "orders"} & self.model_fields_set
        if self.kind != "bbq" and extra:
            raise ValueError(
                f"benchmark `{self.name}`: {', '.join(sorted(extra))} can only be set for "
                "benchmarks of kind `bbq`"
            )
        refuse_duplicates("scoring", self.scoring)
        refuse_duplicates("categories", self.categories or ())
        return self


class Decoding(Strict):
    """How reasoning is sampled."""

    max_new_tokens: Annotated[int, Field(gt=0)] = 256
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    samples: Annotated[int, Field(gt=0)] = 1
    max_repeats: Annotated[int, Field(gt=0)] = 1


class Compute(Strict):
    """Where and how responses are computed; none of it changes what a response is."""

    engine: Literal["transformers", "vllm"] = "transformers"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_tokens: Annotated[int | Literal["auto"], BeforeValidator(_tokens)] = "auto"
    threads: Annotated[int, Field(gt=0)] = 4
    share_below: Annotated[int, Field(ge=0)] = 5_000_000
    card: Name = "a100-80"
    gpu_memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    shard_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


_Entry = TypeVar("_Entry", Family, Checkpoint, Benchmark)


class Study(Strict):
    """A whole study, as the workflow sees it.

    Checkpoints of more than `max_params` are not among its families: they are as if not listed.
    """

    study: Name
    seed: int = 0
    language: Name = "en"
    prompts: str = "data/prompts"
    sources: str = "data/sources.yaml"
    mirror: Annotated[str, StringConstraints(min_length=1)] | None = None
    max_params: Annotated[int, Field(gt=0)] | None = None  # before `families`, which it cuts
    families: Annotated[tuple[Family, ...], Field(min_length=1)]
    benchmarks: Annotated[tuple[Benchmark, ...], Field(min_length=1)]
    conditions: Annotated[tuple[str, ...], Field(min_length=1)]
    wordings: Annotated[tuple[Name, ...], Field(min_length=1)] = ("a",)
    axes: Annotated[tuple[AxisKind, ...], Field(min_length=1)] = ("size", "stage", "step")
    margins: Annotated[Margins, Field(default_factory=dict)]
    decoding: Decoding = Decoding()
    hub: Hub = Hub()
    compute: Compute = Compute()
    only_finished: bool = False

    @field_validator("study")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in ("sources", "store", "control-family", "logs"):
            raise ValueError(f"`{value}` is a folder of the workflow's own; choose another name")
        return value

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
        refuse_duplicates("benchmarks", (benchmark.name for benchmark in self.benchmarks))
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
                if benchmark.kind == "bbq" and family.primary_scoring not in benchmark.scoring:
                    raise ValueError(
                        f"family `{family.name}` has `primary_scoring: {family.primary_scoring}`, "
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

    def format(self, family: str, checkpoint: str) -> str:
        """Return how turns are rendered for a checkpoint: its own setting or its family's."""
        return self.checkpoint(family, checkpoint).format or self.family(family).format

    def members(self) -> list[tuple[str, str]]:
        """Return (family, checkpoint) of every checkpoint, in the config's order."""
        return [(f.name, c.name) for f in self.families for c in f.checkpoints]


def _named(entries: Iterable[_Entry], name: str) -> _Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise KeyError(name)


def load_study(config: Mapping[str, Any], origin: str = "config.yaml") -> Study:
    """Build a study from a config as YAML gives it.

    Args:
        config: the merged mapping.
        origin: the file or files it came from, for the messages.

    Raises:
        ScrupleError: naming each key that is wrong, and the remedy.
    """
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        raise ScrupleError(explain(error, Study, origin)) from None


def resolve(path: str | Path) -> Path:
    """Return a path of the config as an absolute one; relative ones start at the project."""
    return ROOT / Path(path).expanduser()


def read_yaml(path: Path) -> Any:
    """Read a YAML file; one that is missing or broken raises ScrupleError with its place."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScrupleError(f"{path}: cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
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
