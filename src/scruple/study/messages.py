"""Turns pydantic's validation errors into messages that say what to do."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    """Return one message with a line per invalid key: its location, the error and the remedy.

    Args:
        error: the error that pydantic raised.
        model: the model that was validated, used to suggest valid keys.
        origin: the file or files that the values came from.
    """
    lines = [f"{origin} is not valid:"]
    problems = error.errors(include_url=False, include_context=False)
    places = [problem["loc"] for problem in problems]
    for problem in problems:
        where = problem["loc"]
        if problem["type"] == "too_short" and any(
            place[: len(where)] == where and len(place) > len(where) for place in places
        ):
            continue  # "too short" only because its entries are invalid
        place = _place(problem["loc"])
        lines.append(f"  - {place}: {_remedy(problem, model)}")
    return "\n".join(lines)


def _place(location: tuple[int | str, ...]) -> str:
    """Return a location in the usual notation: `families[0].checkpoints[2].hub`."""
    # parts such as `<list>` are tags of a union, not keys
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in location
        if not str(part).startswith("<")
    ]
    return "`" + "".join(parts).lstrip(".") + "`" if parts else "the config"


def _remedy(problem: typing.Any, model: type[BaseModel]) -> str:
    kind = problem["type"]
    location = [part for part in problem["loc"] if not str(part).startswith("<")]
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        if close:
            return f"unknown key; did you mean `{close[0]}`?"
        return f"unknown key; the keys known here are {', '.join(known)}. Remove or rename it"
    given = problem["input"]
    if kind in ("tuple_type", "list_type"):
        if isinstance(given, str | int) and not isinstance(given, bool):
            return f"this is a list: write [{given}] or one entry per line"
        return f"this is a list, one entry per line; it is {given!r}"
    if kind in ("too_short", "string_too_short"):
        return "this is empty; name something, or remove the key"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"this is a mapping, `key: value` in lines below it; it is {given!r}"
    if kind == "string_type":
        return f"this is text; put it in quotes: {str(given)!r}"
    if kind in ("bool_parsing", "bool_type"):
        return f"write true or false; it is {given!r}"
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return f"write a whole number, in digits; it is {given!r}"
    if kind == "missing":
        return "missing; add this key"
    if kind == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch" and location[-1] == "hub":
        return f"{problem['input']!r} is not a repository's name; write it as owner/name"
    if kind == "string_pattern_mismatch":
        return (
            f"{problem['input']!r} will not do: use letters, digits, dots, dashes and "
            "underscores, beginning with a letter or digit"
        )
    message = str(problem["msg"])
    return f"{message[0].lower()}{message[1:]}, and it is {problem['input']!r}"


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    """Return the valid keys at a location inside a model."""
    current = model
    for part in location:
        if isinstance(part, str) and part in current.model_fields:
            nested = list(_models(current.model_fields[part].annotation))
            if not nested:
                break
            current = nested[0]
    return set(current.model_fields)


def _models(annotation: typing.Any) -> Iterator[type[BaseModel]]:
    """Yield the models that occur in a type, including those inside tuples and optionals."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models(argument)
