"""Read answers that were made elsewhere from a CSV file, and match them to those of items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from scruple.benchmarks.read_table import read_table
from scruple.benchmarks.reader import Ids, Reader
from scruple.errors import ScrupleError

_EXAMPLES = 3
_LONGEST = 60
"""How many unclear answers a remark quotes, and how many characters of each."""


@dataclass(frozen=True)
class Matched:
    """The answers of a file.

    Attributes:
        answers: one row per answer to an item that was given, with the columns `item_id`,
            `condition` (empty if the file has none) and `answer`, which is None where it is not
            clear what the text means.
        remarks: sentences about the file, and about answers that are unclear or were not used.
    """

    answers: pd.DataFrame
    remarks: tuple[str, ...]

    def gaps(self, items: pd.DataFrame, sampled: bool) -> list[str]:
        """Return remarks on items without an answer, and on what unknown answers do.

        Args:
            items: the benchmark's items.
            sampled: whether such items were not asked.
        """
        by_condition = self.answers.groupby("condition", sort=False)["item_id"]
        missing = [one for _, own in by_condition for one in _without(items["item_id"], own)]
        remarks = []
        if missing:
            why = "were not asked, by --sampled" if sampled else "have no answer"
            where = " under one of the conditions" if len(by_condition) > 1 else ""
            remarks.append(f"{len(missing)} items {why}{where} (first: {missing[0]})")
        if self.answers["answer"].isna().any() or (missing and not sampled):
            remarks.append(
                "unclear and missing answers are unknown: value_low and value_high say what they "
                "leave possible, and `value` is empty where these differ"
            )
        return remarks


def match_answers(path: Path, items: pd.DataFrame, reader: Reader) -> Matched:
    """Read a file of answers and match each to one of its item's answers.

    Args:
        path: a CSV file with columns that name an item (one of `reader.ids`), `answer`, and, if
            there are several conditions, `condition`.
        items: the benchmark's items.
        reader: how the benchmark reads answers.

    Raises:
        ScrupleError: if the file does not have this format, an item is answered twice under one
            condition, the benchmark's own check fails, no answer belongs to one of the items, or at
            least half of those that do are unclear.
    """
    table = _read(path, reader.ids)
    _refuse_second_answers(path, table)
    items = items.drop(columns=list({"condition", "answer"} & set(items)))
    joined = table.join(items.set_index("item_id"), on="item_id")
    remarks = reader.check(path, joined)
    found = joined[joined["item_id"].isin(set(items["item_id"]))]
    rows = cast(list[dict[str, Any]], found.to_dict("records"))
    matched = [reader.match(row["answer"], row) for row in rows]
    answers = found[["item_id", "condition"]].assign(answer=pd.Series(matched, found.index, object))
    unclear = found[answers["answer"].isna()]
    unknown = table[~table.index.isin(found.index)]
    if len(unknown):
        remarks.append(
            f"{len(unknown)} answers belong to no usable item given and are left out (first: "
            f"{unknown['item_id'].iloc[0]})"
        )
    if len(unclear):
        remarks.append(f"{len(unclear)} answers are unclear (first: {_quoted(unclear)})")
    if 2 * len(unclear) >= len(found):
        raise ScrupleError(
            f"{path}: of {len(table)} answers, {len(found)} to items that were given, only "
            f"{len(found) - len(unclear)} can be scored ({'; '.join(remarks)}). "
            f"{_listed(reader.ids)} must be those of the items; `answer` is {reader.expects}."
        )
    return Matched(answers.reset_index(drop=True), tuple(remarks))


def _read(path: Path, ids: Ids) -> pd.DataFrame:
    """Return `item_id`, `condition` and `answer` of each line; the index is the line."""
    header = set(map(str, read_table(path, ",", {"answer"})))
    columns = next((names for names in ids if set(names) <= header), None)
    if columns is None:
        raise ScrupleError(
            f"{path}: no columns that name an item; give {_listed(ids)}. Its first line has "
            f"{', '.join(sorted(header))}."
        )
    table = read_table(path, ",", {"answer", *columns, *({"condition"} & header)})
    cells = table[list(columns)].apply(lambda column: column.str.strip())
    condition = table["condition"].str.strip() if "condition" in table else ""
    return pd.DataFrame(
        {"item_id": ids[columns](cells), "condition": condition, "answer": table["answer"]}
    )


def _refuse_second_answers(path: Path, table: pd.DataFrame) -> None:
    twice = table.duplicated(["item_id", "condition"])
    if twice.any():
        line = table.index[int(twice.to_numpy().argmax())]
        condition = table.loc[line, "condition"]
        raise ScrupleError(
            f"{path}, line {line}: item {table.loc[line, 'item_id']} is answered a second time"
            f"{f' under {condition}' if condition else ''}; give one answer per item and condition."
        )


def _without(items: pd.Series, answered: pd.Series) -> pd.Series:
    return items[~items.isin(set(answered))]


def _quoted(unclear: pd.DataFrame) -> str:
    """Return the first different unclear answers, each with its item."""
    first = unclear.drop_duplicates("answer").head(_EXAMPLES)
    return ", ".join(
        f"{item} “{answer[:_LONGEST].strip()}{'…' * (len(answer) > _LONGEST)}”"
        for item, answer in zip(first["item_id"], first["answer"], strict=True)
    )


def _listed(ids: Iterable[tuple[str, ...]]) -> str:
    ways = (" and ".join(f"`{name}`" for name in columns) for columns in ids)
    return ", or ".join(ways)
