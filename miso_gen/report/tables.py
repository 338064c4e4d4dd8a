"""A table of numbers as data: what it says, not how it looks. See :mod:`miso_gen.report.formats` for how it is printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, isfinite, isnan, log10, nan
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miso_gen.metrics.interfaces import Direction

#: What a row is of. A ``method`` is ranked, all others are not: a ``prediction`` of patches, a ``null`` explainer, the
#: ``oracle``, and numbers that somebody ``published``.
RowRole: TypeAlias = Literal["method", "prediction", "null", "oracle", "published"]

MISSING: Final = "-"  #: printed where there is nothing
_MOST_DIGITS: Final = 4
_EVEN: Final = 0.02  #: an interval whose halves differ by less, of its width, is printed as mean +- half


@dataclass(frozen=True)
class Cell:
    """A number, or a text.

    Attributes:
        value: nan: there is none.
        low: Lower end of the interval of 95 %; nan: there is none.
        high: Upper end.
        n: What the number is over, mostly images; None: not told.
        text: What is printed in place of the number; empty: the number.
        best: Whether it is the best of its column, or printed alike.
        letters: Tie groups: two of a column that share a letter can't be told apart. Empty: not tested.
        mark: What is printed behind the number, such as ``A`` for the map that it is of.
    """

    value: float = nan
    low: float = nan
    high: float = nan
    n: int | None = None
    text: str = ""
    best: bool = False
    letters: str = ""
    mark: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether it says nothing."""
        return isnan(self.value) and not self.text

    def printed(self, digits: int = 3, sign: str = "±") -> str:
        """Return it as plain text without group letters: ``0.512 ± 0.031``, ``0.51 (0.40 to 0.58)``, ``0.512``, or ``-``.

        A number is rounded so that half of its interval has two digits that count; at most four come after the point.

        Args:
            digits: After the point, of a number without an interval.
            sign: Between a number and half of its interval.
        """
        if self.text:
            return self.text
        if isnan(self.value):
            return MISSING
        half = (self.high - self.low) / 2
        tells = isfinite(half) and half >= 0.5 * 10.0**-_MOST_DIGITS
        places = digits_for(half) if tells else digits
        shown = rounded(self.value, places)
        if not isfinite(half):
            return shown + self.mark
        if abs(self.high + self.low - 2 * self.value) <= _EVEN * 2 * half:
            return f"{shown} {sign} {rounded(half, places)}{self.mark}"
        return f"{shown} ({rounded(self.low, places)} to {rounded(self.high, places)}){self.mark}"


def digits_for(half: float) -> int:
    """Return how many digits after the point say as much as an interval allows: two of half of it, at most four."""
    return min(max(1 - floor(log10(half)), 0), _MOST_DIGITS)


def rounded(value: float, digits: int) -> str:
    """Return a number as text, never ``-0``."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if isfinite(value) and float(text) == 0 else text


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: Its heading.
        is_head: Whether its cells name the row; such columns come first.
        direction: Which numbers are better.
        digits: After the point, of numbers without an interval.
        metric: What its numbers are of, for machines; empty: its name.
        scenario: Scenario of its numbers, for machines; empty: several, or the row says.
        model: Network of its numbers, likewise.
        explainer: Explainer of its numbers, likewise.
    """

    name: str
    is_head: bool = False
    direction: Direction = "none"
    digits: int = 3
    metric: str = ""
    scenario: str = ""
    model: str = ""
    explainer: str = ""


@dataclass(frozen=True)
class Row:
    """A row: a cell for each column."""

    cells: tuple[Cell, ...]
    role: RowRole = "method"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What it is, in a few words.
        columns: Those that name rows first.
        rows: In the order to print.
        caption: A sentence or two: what the numbers are, and how to read them.
        notes: Lines under the table.
        name: What files of it are called, in letters, digits and ``-``.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    name: str = "table"

    def __post_init__(self) -> None:
        heads = [column.is_head for column in self.columns]
        if heads != sorted(heads, reverse=True):
            raise InputError("columns must begin with those that name rows, got others before. Put them first.")
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise InputError(f"rows must have {len(self.columns)} cells, got {len(row.cells)} in {self.title!r}.")

    @property
    def heads(self) -> int:
        """Number of columns that name rows."""
        return sum(column.is_head for column in self.columns)

    @property
    def common_n(self) -> int | None:
        """What all numbers that were measured are over, if it is the same everywhere; None: it is not, or nobody says."""
        numbers = {cell.n for row in self.rows for cell in row.cells if cell.n is not None}
        return numbers.pop() if len(numbers) == 1 else None

    @property
    def lines(self) -> tuple[str, ...]:
        """Caption and notes, and what all numbers are over where that is the same."""
        same = () if self.common_n is None else (f"n = {self.common_n} for every number that has an n.",)
        return tuple(line for line in (self.caption, *self.notes, *same) if line)

    def head(self, row: Row) -> tuple[str, ...]:
        """Return the names of a row."""
        return tuple(cell.text or cell.printed(0) for cell in row.cells[: self.heads])


def head(*names: str) -> tuple[Column, ...]:
    """Return columns that name rows."""
    return tuple(Column(name, is_head=True) for name in names)


def words(*texts: str) -> tuple[Cell, ...]:
    """Return cells of text."""
    return tuple(Cell(text=text or MISSING) for text in texts)


def marked_best(rows: Sequence[Row], column: int, direction: Direction, digits: int = 3) -> list[Row]:
    """Return rows with the best number of a column marked among methods, and all that are printed alike.

    Args:
        rows: Rows; those that are no method are left as they are.
        column: Number of the column.
        direction: Which numbers are better.
        digits: After the point, that count.
    """
    known = [row.cells[column].value for row in rows if row.role == "method" and isfinite(row.cells[column].value)]
    if direction == "none" or not known:
        return list(rows)
    top = round(max(known) if direction == "higher" else min(known), digits)
    found = []
    for row in rows:
        cell = row.cells[column]
        is_best = row.role == "method" and isfinite(cell.value) and round(cell.value, digits) == top
        cells = (*row.cells[:column], replace(cell, best=True), *row.cells[column + 1 :])
        found.append(Row(cells, row.role) if is_best else row)
    return found
