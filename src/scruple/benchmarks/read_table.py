"""Read the tables of benchmarks, with errors that name the file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from scruple.errors import ScrupleError

_LONGEST = 2**31 - 1
"""The most characters of a cell; the module `csv` has a limit of 131,072 by itself."""


def read_table(path: Path, separator: str, columns: set[str]) -> pd.DataFrame:
    """Read a delimited file as strings; the index is the line on which each row ends.

    Raises:
        ScrupleError: if the file cannot be read, one of the columns is missing or occurs twice, or
            a line has more or fewer cells than the header.
    """
    rows, lines = [], []
    csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScrupleError(f"{path}: cannot be read as a table in UTF-8 ({error}).") from None
    header = [name.strip() for name in rows[0]] if rows else []
    missing = sorted(columns - set(header))
    if missing:
        raise ScrupleError(
            f"{path}: column {', '.join(missing)} is missing; its first line has "
            f"{', '.join(header) or 'nothing'}."
        )
    twice = sorted({name for name in columns if header.count(name) > 1})
    if twice:
        raise ScrupleError(f"{path}: column {', '.join(twice)} is there twice; remove one.")
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(header):
            raise ScrupleError(
                f"{path}, line {line}: {len(row)} cells where the first line has {len(header)}; "
                "put cells that contain the separator in double quotes."
            )
    return pd.DataFrame(rows[1:], columns=header, index=lines[1:], dtype=str)


def numbers(path: Path, table: pd.DataFrame, column: str, low: float, high: float) -> pd.Series:
    """Return a column from `read_table` as numbers, all within [low, high].

    Raises:
        ScrupleError: naming the first line whose cell is not a number in that range.
    """
    values = pd.to_numeric(table[column], errors="coerce")
    wrong = ~values.between(low, high)
    if wrong.any():
        line = table.index[int(wrong.to_numpy().argmax())]
        raise ScrupleError(
            f"{path}, line {line}: `{column}` is {table.loc[line, column]!r}, not a number from "
            f"{low:g} to {high:g}."
        )
    return values
