"""The config's entries for benchmarks, decoding and compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scruple.study.families import Scoring, refuse_duplicates
from scruple.study.kinds import KINDS, BenchmarkKind, KindName
from scruple.study.types import Name, Strict


class Benchmark(Strict):
    """One benchmark of the study: which items, how many, how they are put and scored."""

    name: Name
    """The benchmark's name in tables and figures."""
    kind: KindName
    """The kind of benchmark: bbq, winogender or admissions; by default the name."""
    source: Name = "upstream"
    """Where the items come from, as in data/sources.yaml: upstream, own or control."""
    max_items: Annotated[int, Field(gt=0)] | None = None
    """The size of the random part of the items that is asked; by default all of them."""
    categories: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """BBQ only: the categories that are asked; by default all of them."""
    scoring: Annotated[tuple[Scoring, ...], Field(min_length=1)] = ("letter", "text")
    """BBQ only: score options by their letter, by their text, or by both."""
    orders: Annotated[int, Field(ge=1, le=6)] = 1
    """BBQ only: the number of orders in which the options are shown."""
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
        """Return what is known of its kind."""
        return KINDS[self.kind]

    @property
    def scorings(self) -> tuple[str, ...]:
        """Return the names of its scorings; one empty name where there is no choice."""
        return self.scoring if self.traits.has_options else ("",)


class Decoding(Strict):
    """How reasoning is sampled."""

    max_new_tokens: Annotated[int, Field(gt=0)] = 256
    """The most tokens of a reasoning."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """The temperature of sampling."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the share of probability that the sampled tokens are taken from."""
    samples: Annotated[int, Field(gt=0)] = 1
    """The number of reasonings per item."""
    max_repeats: Annotated[int, Field(gt=0)] = 1
    """The most reasonings, times `samples`, of an item that stands for several people."""

    def draws(self, weight: float) -> int:
        """Return how often an item is reasoned about.

        Once for each that it stands for, up to `max_repeats`, and all that `samples` times.

        Args:
            weight: how many it stands for.
        """
        return self.samples * min(max(round(weight), 1), self.max_repeats)


def _tokens(value: Any) -> Any:
    """Refuse what is neither `auto` nor a number of tokens."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not counts and value != "auto":
        raise ValueError(f"give a whole number above 0, or `auto`; it is {value!r}")
    return value


class Compute(Strict):
    """Where and how responses are computed.

    `engine` and `dtype` change the numbers: with another one, everything is asked again. `device`
    decides what `dtype: auto` means, and results in other number formats are stored apart. All
    other keys change the time that it takes, and numbers by rounding only.
    """

    engine: Literal["transformers", "vllm"] = "transformers"
    """The library that runs the checkpoint."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run it; `auto` takes a GPU if PyTorch sees one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The number format of the weights; `auto` means bfloat16 on a GPU and float32 on a CPU."""
    batch_tokens: Annotated[int | Literal["auto"], BeforeValidator(_tokens)] = "auto"
    """The tokens of a batch; `auto` works them out from the checkpoint and the free memory."""
    threads: Annotated[int, Field(gt=0)] = 4
    """The CPU threads of a job."""
    share_below: Annotated[int, Field(ge=0)] = 5_000_000
    """Checkpoints with fewer parameters share one job per family and benchmark."""
    card: Name = "a100-80"
    """The GPU that is planned for, as in data/cards.yaml."""
    gpu_memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The memory of one GPU in 10^9 bytes, where it differs from the card's."""
    shard_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """The planned hours above which a response table is computed in several jobs."""

    def dtype_on(self, gpu: bool) -> str:
        """Return the number format of weights on a GPU or on a CPU."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if gpu else "float32"
