"""What the typed parts of the config have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator


def without_empty(values: Any) -> Any:
    """Return a mapping without its empty values, so that `key:` alone means the default."""
    if isinstance(values, Mapping):
        return {key: value for key, value in values.items() if value is not None}
    return values


def _named(value: Any) -> Any:
    """Return a name that YAML read as a number as text; a truth value is refused."""
    if isinstance(value, bool):
        raise ValueError(f"YAML reads this as {value}; put the name in quotes")
    return str(value) if isinstance(value, int) else value


# Names end up in file names, in wildcards and in tables.
Name = Annotated[
    str,
    BeforeValidator(_named),
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100),
]

Job = tuple[str, str, str]
"""What one job asks: family, checkpoint and benchmark, by their names."""


class Strict(BaseModel):
    """A part of the config: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        return without_empty(values)
