"""Reads the tables that benchmarks come in, with messages that name file, line and column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scruple.errors import ScrupleError


def read_table(path: Path, separator: str, columns: set[str]) -> pd.DataFrame:
    """Read a delimited file as text cells.

    Raises:
        ScrupleError: if it cannot be read or lacks one of the columns.
    """
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ScrupleError(f"{path}: cannot be read as a table ({error}).") from None
    missing = sorted(columns - set(table.columns))
    if missing:
        raise ScrupleError(
            f"{path}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}."
        )
    return table


def numbers(path: Path, table: pd.DataFrame, column: str, low: float, high: float) -> pd.Series:
    """Return a column as numbers within [low, high].

    Raises:
        ScrupleError: naming the first line whose cell is not such a number.
    """
    values = pd.to_numeric(table[column], errors="coerce")
    wrong = ~values.between(low, high)
    if wrong.any():
        first = int(wrong.to_numpy().argmax())
        raise ScrupleError(
            f"{path}, line {first + 2}: `{column}` is {table[column].iloc[first]!r}, not a number "
            f"from {low:g} to {high:g}."
        )
    return values
