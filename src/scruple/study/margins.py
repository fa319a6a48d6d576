"""What a study decides before it looks: margins, as the config states them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from scruple.study.kinds import MEASURES, Kind
from scruple.study.types import Name, Strict, without_empty

Reason = Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
"""Why a number was chosen: nobody should have to guess it."""


class Gate(Strict):
    """What a checkpoint must be able to do under `q` for its bias to mean anything."""

    metric: Name
    above: Annotated[float, Field(allow_inf_nan=False)]
    reason: Reason


class Keep(Strict):
    """How much capability a condition may cost before its effect counts as collapse."""

    metric: Name
    loss: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    reason: Reason


class Margin(Strict):
    """What is decided about a kind of benchmark before its responses exist.

    Attributes:
        metric: the primary measure of bias.
        subset: of which part of the items (BBQ: `macro`, `pooled`).
        delta: the smallest effect that matters, in units of the metric.
        reason: why that one.
        gate: what must be readable.
        keep: what must not be lost.
    """

    metric: Name
    subset: str = ""
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    reason: Reason
    gate: Gate
    keep: Keep


def _name_metrics(margins: Mapping[Kind, Margin]) -> Mapping[Kind, Margin]:
    """Refuse metrics that a kind of benchmark does not have."""
    for kind, margin in margins.items():
        known = MEASURES[kind]
        for key, name, names in (
            ("metric", margin.metric, known.twins),
            ("subset", margin.subset, known.subsets),
            ("gate.metric", margin.gate.metric, known.capabilities),
            ("keep.metric", margin.keep.metric, known.capabilities),
        ):
            if name not in names:
                choice = ", ".join(names).strip() or "leave it out"
                raise ValueError(f"`{kind}.{key}` is `{name}`; possible: {choice}")
    return margins


Margins = Annotated[
    Mapping[Kind, Margin], BeforeValidator(without_empty), AfterValidator(_name_metrics)
]
"""A margin per kind of benchmark; an empty one means none."""
