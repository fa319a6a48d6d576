"""Reads the tables that benchmarks come in, with messages that name file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from scruple.errors import ScrupleError


def read_table(path: Path, separator: str, columns: set[str]) -> pd.DataFrame:
    """Read a delimited file as text cells, indexed by the lines they end on.

    Raises:
        ScrupleError: if it cannot be read, lacks one of the columns or names one twice, or has a
            line with more or fewer cells than the header.
    """
    rows, lines = [], []
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
    """Return a column of `read_table` as numbers within [low, high].

    Raises:
        ScrupleError: naming the first line whose cell is not such a number.
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
