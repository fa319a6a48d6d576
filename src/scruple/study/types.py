"""Types that all parts of the config share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator


def without_empty(values: Any) -> Any:
    """Return a mapping without empty values, so that a bare `key:` means the default."""
    if isinstance(values, Mapping):
        return {key: value for key, value in values.items() if value is not None}
    return values


def _named(value: Any) -> Any:
    """Convert a name that YAML read as an integer to text; a boolean raises ValueError."""
    if isinstance(value, bool):
        raise ValueError(f"YAML reads this as {value}; put the name in quotes")
    return str(value) if isinstance(value, int) else value


# Names are used in file names, wildcards and tables.
Name = Annotated[
    str,
    BeforeValidator(_named),
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100),
]

Job = tuple[str, str, str]
"""A job: the names of its family, checkpoint and benchmark."""


class Strict(BaseModel):
    """Base class of all parts of the config: unknown keys are errors, and objects are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        return without_empty(values)


def refuse_duplicates(key: str, names: Iterable[str]) -> None:
    """Raise ValueError if a list contains a name twice."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`{key}` names {', '.join(twice)} more than once: rename or remove one")
