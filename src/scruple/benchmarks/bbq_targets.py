"""Find the stereotyped person in a BBQ item.

Each item has tags for its people and a list of stereotyped groups, but their spellings do not
always match. A person is the target if their tag or text is one of the groups, after the spellings
below are unified. Texts are compared by their letters and digits, in every script; a text without
any equals nothing. If this does not identify exactly one person, only the benchmark's metadata file
can; without it the item is left out rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scruple.benchmarks.plain import key

_SPELLINGS = {
    "woman": "f",
    "women": "f",
    "girl": "f",
    "girls": "f",
    "female": "f",
    "man": "m",
    "men": "m",
    "boy": "m",
    "boys": "m",
    "male": "m",
    "transf": "trans",
    "transm": "trans",
    "transgenderwomen": "trans",
    "transgendermen": "trans",
}


def unknown_option(row: Mapping[str, Any]) -> int | None:
    """Return the index of the option that names nobody, or None unless there is exactly one."""
    found = [i for i in range(3) if key(_tag(row, i)) == "unknown"]
    return found[0] if len(found) == 1 else None


def stereotyped_person(row: Mapping[str, Any]) -> int | None:
    """Return the index of the option naming the stereotyped person; None if it is not clear.

    Args:
        row: an item as in BBQ's files (Parrish et al. 2022).
    """
    unknown = unknown_option(row)
    groups = _keys(row["additional_metadata"]["stereotyped_groups"])
    found = [i for i in range(3) if i != unknown and _names(row, i) & groups]
    return found[0] if unknown is not None and len(found) == 1 else None


def biased_option(row: Mapping[str, Any], target: int) -> int:
    """Return the index of the option that agrees with the stereotype.

    This is the stereotyped person in a negative question and the other person in a non-negative
    one.

    Args:
        row: an item with exactly one option that names nobody.
        target: the option that names the stereotyped person.
    """
    if row["question_polarity"] == "neg":
        return target
    return next(i for i in range(3) if i not in (target, unknown_option(row)))


def _tag(row: Mapping[str, Any], i: int) -> str:
    return str(row["answer_info"][f"ans{i}"][-1])


def _names(row: Mapping[str, Any], i: int) -> set[str]:
    names = list(row["answer_info"][f"ans{i}"])
    if row["category"] == "Race_ethnicity":  # F-Black → Black: drop the gender
        names.append(re.sub(r"^[FM]-", "", _tag(row, i)))
    return _keys(names)


def _keys(names: Iterable[Any]) -> set[str]:
    """Return the keys of names, in one spelling, without empty ones."""
    keys = {key(name) for name in names if isinstance(name, str)}
    return {_SPELLINGS.get(name, name) for name in keys - {""}}
