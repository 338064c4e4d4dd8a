"""Tables of users: CSV and Parquet, read as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miso_gen.errors import InputError, listing, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

_SEPARATORS = (",", ";", "\t")


def read_table(path: Path) -> pd.DataFrame:
    """Return a table with every value as text, stripped; missing ones are empty.

    Args:
        path: CSV with a header (commas, semicolons or tabs; UTF-8), or ``.parquet``.

    Raises:
        InputError: There is no such file, it is no table, or it has no rows.
    """
    import pandas as pd

    if not path.is_file():
        raise InputError(f"table {path} must be an existing file, got none. Paths are relative to the recipe.")
    try:
        table = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (ValueError, OSError) as error:  # UnicodeDecodeError, ParserError and ArrowInvalid are ValueErrors
        raise InputError(f"table {path.name} must be UTF-8 CSV or Parquet, got {error}.") from None
    if not len(table):
        raise InputError(f"table {path.name} must have rows, got none.")
    table.columns = [str(name).strip() for name in table.columns]
    twice = [name for name in table.columns if list(table.columns).count(name) > 1]
    if twice:
        raise InputError(f"table {path.name} must have each column once, got {listing(dict.fromkeys(twice))} twice.")
    return table.map(_text)


def require_columns(path: Path, table: pd.DataFrame, names: Iterable[str]) -> None:
    """Raise InputError unless a table has the columns."""
    known = list(table.columns)
    for name in names:
        if name not in known:
            raise InputError(
                f"table {path.name} must have the column {name!r}, got {listing(known)}.{suggestion(name, known)} "
                "Name your columns with columns: {...}."
            )


def _read_csv(path: Path) -> pd.DataFrame:
    """Return a CSV file as text; stricter than pandas, which renames repeated columns and shifts rows that are too long."""
    import csv

    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        separator = max(_SEPARATORS, key=head.count)
        (names, *_), rows = list(csv.reader([head], delimiter=separator)) or [[]], []
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        try:
            for row in reader:
                if row and len(row) != len(names):
                    raise ValueError(f"{len(row)} values in line {reader.line_num + 1}, where there are {len(names)} columns")
                rows.append(row)
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num + 1} that can't be read: {error}") from None
    if not names:
        raise ValueError("an empty file")
    return pd.DataFrame([row for row in rows if row], columns=names, dtype=str)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
