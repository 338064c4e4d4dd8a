"""A table of points -> their places, radii, classes and sets, in pixels; what can't be meant is refused, row by row."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, MisoGenWarning, listing
from miso_gen.imports.tables import read_table, require_columns
from miso_gen.recipe.parameters import Parameters

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_PX: Final = 2**30  #: whole numbers of 64 bits then hold whatever a fit multiplies
_SHOWN: Final = 5  #: rows that a message names
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+")

Text = Annotated[str, Field(min_length=1)]


class PointColumns(Parameters):
    """Names of the columns of a table of points."""

    x: Text = "x"
    """Distance from the left border."""
    y: Text = "y"
    """Distance from the upper border."""
    left: str = ""
    """Left side of a box, in place of ``x`` and ``y`` with the three others: its middle is the point."""
    top: str = ""
    """Upper side of a box."""
    right: str = ""
    """Right side of a box."""
    bottom: str = ""
    """Lower side of a box."""
    radius: str = ""
    """Radius of the thing at the point, in the unit of the positions. Empty: there is none."""
    class_name: str = ""
    """Class of the point. Empty: there is none."""
    sample: str = ""
    """Name of the set that the point is of. Empty: each file is a set."""

    @model_validator(mode="after")
    def _corners_go_together(self) -> Self:
        if any(self.corners) and not all(self.corners):
            raise PydanticCustomError("expected", "named with all of left, top, right and bottom, or with none of them")
        return self

    @property
    def corners(self) -> tuple[str, str, str, str]:
        """Left, top, right, bottom; empty where points are given by x and y."""
        return self.left, self.top, self.right, self.bottom

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers."""
        places = self.corners if self.left else (self.x, self.y)
        return (*places, self.radius) if self.radius else places

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts."""
        return tuple(column for column in (self.class_name, self.sample) if column)


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points of a table, before they are made whole numbers.

    Attributes:
        name: What the set is called.
        places: (n, 2) float64, rows and columns, in px; n is 1 or more.
        radii: (n,) float64, in px; None where the table has none.
        classes: (n,) texts; None where the table has none.
    """

    name: str
    places: NDArray[np.float64]
    radii: NDArray[np.float64] | None = None
    classes: NDArray[np.str_] | None = None

    def only(self, kept: NDArray[np.bool_], name: str = "") -> PointSet:
        """Return the set of some of the points, (n,) bool; under another name, where one is given."""
        radii = None if self.radii is None else self.radii[kept]
        return PointSet(name or self.name, self.places[kept], radii, None if self.classes is None else self.classes[kept])


def read_points(
    path: Path, name: str, columns: PointColumns, px_per_unit: float, missing: Literal["refuse", "drop"]
) -> list[PointSet]:
    """Return the sets of points of a table: one, or one for each sample, sorted by name.

    Args:
        path: CSV or Parquet; see ``tables.read_table``.
        name: What the set is called where there are no samples.
        columns: Names of its columns.
        px_per_unit: Pixels in a unit of the table.
        missing: What becomes of rows with missing or infinite values.

    Raises:
        InputError: It is no such table, or rows are wrong; the message goes on after the name of the file.
    """
    try:
        table = read_table(path)
        require_columns(path, table, [*columns.numbers, *columns.texts])
    except InputError as error:
        raise InputError(str(error).removeprefix(f"table {path.name} ")) from None
    texts = {column: table[column].to_numpy(object).astype(str) for column in [*columns.numbers, *columns.texts]}
    numbers = {column: _numbers(texts[column]) for column in columns.numbers}
    there = np.all([np.isfinite(values) for values in numbers.values()], axis=0)
    for column in columns.texts:
        there &= texts[column] != ""
    _require_whole(path.name, there, texts, columns.numbers, missing)
    one = _measured(name, {column: values[there] for column, values in numbers.items()}, columns, px_per_unit, there)
    if columns.class_name:
        one = PointSet(name, one.places, one.radii, texts[columns.class_name][there])
    if not columns.sample:
        return [one]
    samples = texts[columns.sample][there]
    return [one.only(samples == sample, sample) for sample in np.unique(samples).tolist()]


def warn_of_some(what: str, counts: dict[str, int]) -> None:
    """Warn of a number of things, by file or set, where there are any."""
    some = {name: count for name, count in counts.items() if count}
    if some:
        text = listing((f"{count} in {name}" for name, count in some.items()), _SHOWN)
        warnings.warn(f"{sum(some.values())} {what}: {text}.", MisoGenWarning, stacklevel=3)


def _require_whole(
    file: str, there: NDArray[np.bool_], texts: dict[str, NDArray[Any]], numbers: tuple[str, ...], missing: str
) -> None:
    """Raise InputError where values are missing and may not be, or nothing is left; else warn."""
    commas = np.any([[bool(_DECIMAL_COMMA.fullmatch(text)) for text in texts[column]] for column in numbers], axis=0)
    if commas.any():  # to drop these would keep the whole numbers among them
        raise InputError(f"must have numbers with decimal points, got commas in {_rows(commas)}. Save it with points.")
    if there.all():
        return
    if missing == "refuse":
        row = int(np.flatnonzero(~there)[0])
        found = ", ".join(f"{column}: {text[row] or 'nothing'}" for column, text in texts.items())
        raise InputError(
            f"must have finite numbers and no empty text in every row, got {found} in row {row + 2}; "
            f"the like is in {_rows(~there)}. Fill them in, or write missing: drop."
        )
    if not there.any():
        raise InputError(f"must have rows without missing values, got none of {len(there)}. Look at columns: {{...}}.")
    warn_of_some("rows have missing or infinite values, and are left out", {file: int((~there).sum())})


def _measured(
    name: str, numbers: dict[str, NDArray[np.float64]], columns: PointColumns, px_per_unit: float, there: NDArray[np.bool_]
) -> PointSet:
    """Return the points of the rows that are whole; ``there`` says which these are."""

    def refuse(wrong: NDArray[np.bool_], expected: str) -> None:
        if wrong.any():
            rows = np.zeros(len(there), np.bool_)
            rows[there] = wrong
            raise InputError(f"must have {expected}, got others in {_rows(rows)}. Correct these rows.")

    with np.errstate(over="ignore"):  # what is too large is refused
        px = {column: values * px_per_unit for column, values in numbers.items()}
        refuse(np.any([np.abs(values) > MOST_PX for values in px.values()], axis=0), f"numbers of at most {MOST_PX} px")
    if columns.left:
        left, top, right, bottom = (px[column] for column in columns.corners)
        refuse((right < left) | (bottom < top), "boxes whose left is at most their right, and top their bottom")
        places = np.stack([(top + bottom) / 2.0, (left + right) / 2.0], axis=1)
    else:
        places = np.stack([px[columns.y], px[columns.x]], axis=1)
    if not columns.radius:
        return PointSet(name, places)
    refuse(px[columns.radius] <= 0, "radii above 0")
    return PointSet(name, places, px[columns.radius])


def _numbers(texts: NDArray[Any]) -> NDArray[np.float64]:
    """Return texts as float64; nan where a text is no finite number."""
    import pandas as pd

    found = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _rows(there: NDArray[np.bool_]) -> str:
    """Return the numbers of rows as a text; the header is row 1."""
    numbers = (np.flatnonzero(there) + 2).tolist()
    return f"row{'s' if len(numbers) > 1 else ''} {listing(map(str, numbers), _SHOWN)}"
