"""Margins in the config: what counts as bias, and how much of it matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from scruple.study.kinds import BenchmarkKind
from scruple.study.types import Name, Strict, refuse_duplicates, without_empty

Reason = Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
"""Why a number was chosen, so that nobody has to guess; at least ten characters."""


class Gate(Strict):
    """What a checkpoint must be able to do under `q` before its bias means anything."""

    metric: Name
    """A metric of capability."""
    above: Annotated[float, Field(allow_inf_nan=False)]
    """The value that the metric must be shown to exceed."""
    reason: Reason
    """Why this value was chosen."""


class Keep(Strict):
    """How much capability a condition may cost before it counts as a collapse."""

    metric: Name
    """A metric of capability."""
    loss: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The largest loss allowed, in units of the metric."""
    reason: Reason
    """Why this loss was chosen."""


_Part = TypeVar("_Part", Gate, Keep)


def _one(value: Any) -> Any:
    """Unwrap a list with a single entry, which means the same as the entry."""
    if (
        isinstance(value, list | tuple)
        and len(value) == 1
        and not isinstance(value[0], list | tuple)
    ):
        return value[0]
    return value


def _form(value: Any) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<one>"


_OneOrMore = Annotated[
    Annotated[_Part, Tag("<one>")]
    | Annotated[tuple[_Part, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(_form),
    BeforeValidator(_one),
]
"""One entry, or a list of entries that must all hold."""


class Margin(Strict):
    """The decisions about a benchmark, or a kind of benchmark, before its responses exist."""

    metric: Name
    """The primary measure of bias (docs/metrics.md lists the choices)."""
    subset: str = ""
    """The subset of items that the measure is computed for (BBQ: `macro` or `pooled`)."""
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The smallest effect that matters, in units of the metric."""
    reason: Reason
    """Why this is the smallest effect that matters."""
    gate: _OneOrMore[Gate]
    """What a checkpoint must be able to do: one entry, or a list of entries that must all hold."""
    keep: _OneOrMore[Keep]
    """What a condition must not cost: one entry, or a list of entries that must all hold."""

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Return the gates as a tuple, even if there is only one."""
        return self.gate if isinstance(self.gate, tuple) else (self.gate,)

    @property
    def keeps(self) -> tuple[Keep, ...]:
        """Return the entries of `keep` as a tuple, even if there is only one."""
        return self.keep if isinstance(self.keep, tuple) else (self.keep,)


def check_metrics(key: str, margin: Margin, kind: BenchmarkKind) -> None:
    """Raise ValueError if a margin names a metric or subset that its kind does not have.

    Args:
        key: the margin's key in the config.
        margin: the margin.
        kind: the kind of benchmark that the margin applies to.
    """
    parts: dict[str, Sequence[Gate | Keep]] = {"gate": margin.gates, "keep": margin.keeps}
    for part, given in parts.items():
        refuse_duplicates(f"{key}.{part}", (entry.metric for entry in given))
    for place, name, names in _named(margin, kind):
        if name not in names:
            choice = ", ".join(names).strip() or "leave it out"
            raise ValueError(f"`{key}.{place}` is `{name}`; possible: {choice}")


def _named(margin: Margin, kind: BenchmarkKind) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the key, the name and the valid names of each metric or subset in a margin."""
    measures = kind.measures
    yield "metric", margin.metric, tuple(measures.counterparts)
    yield "subset", margin.subset, measures.subsets
    parts: dict[str, Sequence[Gate | Keep]] = {"gate": margin.gates, "keep": margin.keeps}
    for part, given in parts.items():
        for number, entry in enumerate(given):
            place = f"{part}[{number}]" if len(given) > 1 else part
            yield f"{place}.metric", entry.metric, measures.capabilities


Margins = Annotated[Mapping[Name, Margin], BeforeValidator(without_empty)]
"""Benchmark, or kind of benchmark → its margin; an empty value means no margin."""
