"""Settings in the config for benchmarks, decoding and compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scruple.study.families import Scoring, refuse_duplicates
from scruple.study.kinds import KINDS, BenchmarkKind, KindName
from scruple.study.types import Name, Strict


class Benchmark(Strict):
    """One benchmark of the study: its items, how they are presented, and how they are scored."""

    name: Name
    """The benchmark's name in tables and figures."""
    kind: KindName
    """The kind of benchmark; by default the name. There are bbq, winogender and admissions."""
    source: Name = "upstream"
    """The source of the items, from data/sources.yaml: upstream, own or control."""
    max_items: Annotated[int, Field(gt=0)] | None = None
    """The size of a random sample of the items (admissions: of the profiles); by default all."""
    categories: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """BBQ only: the categories to run; by default all."""
    scoring: Annotated[tuple[Scoring, ...], Field(min_length=1)] = ("letter", "text")
    """BBQ only: whether options are scored by their letter, by their text, or both."""
    orders: Annotated[int, Field(ge=1, le=6)] = 1
    """BBQ only: the number of orders in which the options are shown, out of six."""
    language: Name | None = None
    """The language of its prompts and of the project's own items; by default the study's."""

    @model_validator(mode="before")
    @classmethod
    def _kind_is_name(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("kind") is None and "name" in values:
            return {**values, "kind": values["name"]}
        return values

    @model_validator(mode="after")
    def _only_with_options(self) -> Benchmark:
        extra = {"categories", "scoring", "orders"} & self.model_fields_set
        if extra and not self.traits.has_options:
            able = (f"`{kind.name}`" for kind in KINDS.values() if kind.has_options)
            raise ValueError(
                f"benchmark `{self.name}`: {', '.join(sorted(extra))} can only be set for "
                f"benchmarks of kind {' or '.join(able)}"
            )
        refuse_duplicates("scoring", self.scoring)
        refuse_duplicates("categories", self.categories or ())
        return self

    @property
    def traits(self) -> BenchmarkKind:
        """Return the record of the benchmark's kind."""
        return KINDS[self.kind]

    @property
    def scorings(self) -> tuple[str, ...]:
        """Return the names of its scorings; a single empty name if its items have no options."""
        return self.scoring if self.traits.has_options else ("",)


class Decoding(Strict):
    """How reasoning is sampled."""

    max_new_tokens: Annotated[int, Field(gt=0)] = 256
    """The maximum number of tokens of one reasoning."""
    temperature: Annotated[float, Field(ge=0.01, allow_inf_nan=False)] = 1.0
    """The sampling temperature, at least 0.01, where nearly every draw is the likeliest token."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: keep only the most probable tokens that together reach this probability."""
    samples: Annotated[int, Field(gt=0)] = 1
    """The number of reasonings per item."""
    max_repeats: Annotated[int, Field(gt=0)] = 1
    """The maximum number of reasonings, times `samples`, for an item that stands for several
    people: it gets one for each of them."""

    def draws(self, weight: float) -> int:
        """Return the number of reasonings sampled for an item.

        It is one per person that the item stands for, at most `max_repeats`, times `samples`.

        Args:
            weight: the number of people that the item stands for.
        """
        return self.samples * min(max(round(weight), 1), self.max_repeats)


def _tokens(value: Any) -> Any:
    """Raise ValueError if a value is neither `auto` nor a positive whole number."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not counts and value != "auto":
        raise ValueError(f"give a whole number above 0, or `auto`; it is {value!r}")
    return value


class Compute(Strict):
    """Where and how responses are computed.

    `engine` and `dtype` change the results: if you change one of them, all trials are run again.
    `device` determines what `dtype: auto` means; results in different number formats are stored
    separately. All other keys affect the run time, and the results only by rounding.
    """

    engine: Literal["transformers", "vllm"] = "transformers"
    """The library that runs the checkpoint."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device to run on; `auto` uses a GPU if PyTorch sees one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The number format of the weights; `auto` means bfloat16 on a GPU and float32 on a CPU."""
    batch_tokens: Annotated[int | Literal["auto"], BeforeValidator(_tokens)] = "auto"
    """The number of tokens per batch; `auto` derives it from the checkpoint and the free memory."""
    threads: Annotated[int, Field(gt=0)] = 4
    """The number of CPU threads per job."""
    share_below: Annotated[int, Field(ge=0)] = 5_000_000
    """Checkpoints with fewer parameters share one process per family and benchmark."""
    card: Name = "a100-80"
    """The GPU that the plan is made for, from data/cards.yaml."""
    gpu_memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The memory of one GPU in 10^9 bytes; by default that of this machine's GPUs, or on a cluster
    that of the card."""
    shard_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """The planned hours above which a job is split into shards."""

    def dtype_on(self, gpu: bool) -> str:
        """Return the number format of the weights on a GPU or on a CPU."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if gpu else "float32"
