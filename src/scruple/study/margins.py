"""What a study decides before it looks: margins, as the config states them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from scruple.study.kinds import BenchmarkKind
from scruple.study.types import Name, Strict, without_empty

Reason = Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
"""Why a number was chosen: nobody should have to guess it."""


class Gate(Strict):
    """What a checkpoint must be able to do under `q` for its bias to mean anything."""

    metric: Name
    """A metric of capability."""
    above: Annotated[float, Field(allow_inf_nan=False)]
    """The value that it must be shown to exceed."""
    reason: Reason
    """Why that value."""


class Keep(Strict):
    """How much capability a condition may cost before its effect counts as collapse."""

    metric: Name
    """A metric of capability."""
    loss: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The largest loss that is allowed, in units of the metric."""
    reason: Reason
    """Why that loss."""


_Part = TypeVar("_Part", Gate, Keep)


def _one(value: Any) -> Any:
    """Return a list's only entry in place of the list: the two mean the same."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _form(value: Any) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<one>"


_OneOrMore = Annotated[
    Annotated[_Part, Tag("<one>")]
    | Annotated[tuple[_Part, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(_form),
    BeforeValidator(_one),
]
"""One entry, or a list of several that must all hold."""


class Margin(Strict):
    """What is decided about a benchmark, or a kind of benchmark, before its responses exist."""

    metric: Name
    """The primary measure of bias."""
    subset: str = ""
    """The part of the items that the measure is computed of (BBQ: `macro` or `pooled`)."""
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The smallest effect that matters, in units of the metric."""
    reason: Reason
    """Why that effect."""
    gate: _OneOrMore[Gate]
    """What the checkpoint must be able to do; one entry, or a list that must all hold."""
    keep: _OneOrMore[Keep]
    """What a condition must not cost; one entry, or a list that must all hold."""

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Return all that a checkpoint must be able to do."""
        return self.gate if isinstance(self.gate, tuple) else (self.gate,)

    @property
    def keeps(self) -> tuple[Keep, ...]:
        """Return all that a condition must not cost."""
        return self.keep if isinstance(self.keep, tuple) else (self.keep,)


def check_metrics(key: str, margin: Margin, kind: BenchmarkKind) -> None:
    """Refuse metrics that a kind of benchmark does not have (ValueError).

    Args:
        key: the margin's key in the config.
        margin: the margin.
        kind: the kind of benchmark that it is for.
    """
    for place, name, names in _named(margin, kind):
        if name not in names:
            choice = ", ".join(names).strip() or "leave it out"
            raise ValueError(f"`{key}.{place}` is `{name}`; possible: {choice}")


def _named(margin: Margin, kind: BenchmarkKind) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each metric or subset that a margin names: its key, its name, the possible names."""
    measures = kind.measures
    yield "metric", margin.metric, tuple(measures.counterparts)
    yield "subset", margin.subset, measures.subsets
    parts: dict[str, Sequence[Gate | Keep]] = {"gate": margin.gates, "keep": margin.keeps}
    for part, given in parts.items():
        for number, entry in enumerate(given):
            place = f"{part}[{number}]" if len(given) > 1 else part
            yield f"{place}.metric", entry.metric, measures.capabilities


Margins = Annotated[Mapping[Name, Margin], BeforeValidator(without_empty)]
"""Benchmark, or kind of benchmark → its margin; an empty one means none."""
