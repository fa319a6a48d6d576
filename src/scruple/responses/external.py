"""Read answers produced elsewhere from a CSV file and match them to BBQ's options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scruple.benchmarks.read_table import read_table
from scruple.errors import ScrupleError


@dataclass(frozen=True)
class Matched:
    """Answers as a response table, and remarks on those that could not be used.

    Attributes:
        responses: one row per item with a usable answer.
        remarks: sentences about what was left out.
    """

    responses: pd.DataFrame
    remarks: tuple[str, ...]


_SHORTEST = 4
"""The fewest characters of an answer that is matched to an option as its beginning."""


def match_answers(path: Path, items: pd.DataFrame) -> Matched:
    """Read `category,example_id,answer` and match each answer to an option of its item.

    Args:
        path: the CSV file; an answer is an option's index (0, 1, 2) or its text.
        items: BBQ items.

    Raises:
        ScrupleError: if the file does not have this format, an item is answered twice, no answer
            belongs to one of the items, or at least half of those that do match no option.
    """
    table = read_table(path, ",", {"category", "example_id", "answer"})
    category, example = (table[name].str.strip() for name in ("category", "example_id"))
    table["item_id"] = category + "-" + example.str.replace(r"\.0$", "", regex=True)
    twice = table["item_id"].duplicated()
    if twice.any():
        line = table.index[int(twice.to_numpy().argmax())]
        raise ScrupleError(
            f"{path}, line {line}: item {table.loc[line, 'item_id']} is answered a second time; "
            "give one answer per item."
        )
    found = table[["item_id", "answer"]].merge(items, on="item_id", how="inner")
    options = found[["ans0", "ans1", "ans2"]].to_numpy()
    chosen = [match_option(a, o) for a, o in zip(found["answer"], options, strict=True)]
    found["answer"] = [None if option is None else str(option) for option in chosen]
    usable = found[found["answer"].notna()]
    remarks = (
        _remark(table["item_id"], found["item_id"], "answers belong to no usable item given"),
        _remark(items["item_id"], found["item_id"], "items have no answer"),
        _remark(found["item_id"], usable["item_id"], "answers match none of their item's options"),
    )
    if 2 * len(usable) <= len(found):
        reasons = "; ".join(remark for remark in remarks if remark)
        raise ScrupleError(
            f"{path}: of {len(table)} answers, {len(found)} to items that were given, only "
            f"{len(usable)} can be scored ({reasons}). "
            "`category` and `example_id` must be those of the items; `answer` is an option's index "
            "(0, 1 or 2) or its text, no letter."
        )
    responses = usable[["item_id", "answer"]].assign(
        condition="", wording="", scoring="", order=0, sample=0, target=""
    )
    return Matched(responses, tuple(remark for remark in remarks if remark))


def match_option(answer: str, options: Iterable[str]) -> int | None:
    """Return the index of the option that an answer means, or None if it is not clear.

    An answer that is an index (0, 1, 2) is used as it is. A text is compared with the options,
    ignoring case and final periods and braces. The first test that any option passes decides, and
    only one option may pass it:

    1. the option equals the text;
    2. the option begins with the text, which has at least `_SHORTEST` characters;
    3. the text begins with the option;
    4. both have the same first two words.
    """
    if re.fullmatch(r"[012](\.0)?", answer.strip()):
        return int(answer.strip()[0])
    text, plain = _plain(answer), [_plain(option) for option in options]
    if not text:
        return None
    tests = (
        lambda option: option == text,
        # a truncated text; one or two letters are more likely a code
        lambda option: len(text) >= _SHORTEST and option.startswith(text),
        lambda option: bool(option) and text.startswith(option),
        lambda option: option.split()[:2] == text.split()[:2],
    )
    for test in tests:
        hits = [i for i, option in enumerate(plain) if test(option)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            return None
    return None


def _plain(text: str) -> str:
    return re.sub(r"[.}]+$", "", text.strip().lower()).strip()


def _remark(all_ids: pd.Series, kept: pd.Series, what: str) -> str:
    """Return a remark on how many ids were not kept, with an example; empty if all were kept."""
    lost = all_ids[~all_ids.isin(set(kept))]
    return f"{len(lost)} {what} and are left out (first: {lost.iloc[0]})" if len(lost) else ""
