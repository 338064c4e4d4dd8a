"""Boxes, exact sines, and exact rasterising of polygons.

Pixel (row, column) is the unit square whose centre is (row + 1/2, column + 1/2). Polygons live on a lattice of 1/256 px and
their vertices have odd coordinates, so that no vertex meets a line of pixel centres (these are even). A pixel belongs to a
polygon iff its centre is inside by the even-odd rule; a centre exactly on an edge belongs to the right of that edge. All of
it is whole-number arithmetic, so that every tile of an image, on every machine, agrees with the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.planes import Bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LATTICE = 256  #: lattice units per pixel
_CENTRE = LATTICE // 2
_KEPT_PIXELS = 2**24
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: rows ``top`` <= y < ``bottom``, columns ``left`` <= x < ``right``."""

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (self.top <= self.bottom and self.left <= self.right):
            raise ValueError(f"box must have top <= bottom and left <= right, got {self}.")

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.height == 0 or self.width == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the box in its image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Return row and column slices of the box in an array of the pixels of a box around it."""
        return self.shifted(-outer.top, -outer.left).slices

    @property
    def transposed(self) -> Box:
        """The box with rows and columns exchanged."""
        return Box(self.left, self.top, self.right, self.bottom)

    def intersection(self, other: Box) -> Box:
        """Return what both cover; an empty box where they are apart."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(top, left, max(top, min(self.bottom, other.bottom)), max(left, min(self.right, other.right)))

    def overlaps(self, other: Box) -> bool:
        """Whether both share a pixel."""
        return not self.intersection(other).empty

    def expanded(self, margin: int) -> Box:
        """Return the box with ``margin`` more pixels on each side."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin)

    def shifted(self, rows: int, columns: int) -> Box:
        """Return the box moved down by ``rows`` and right by ``columns``."""
        return Box(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

    def tiles(self, height: int, width: int) -> Iterator[Box]:
        """Yield the box cut into tiles that start at its own corner, row-major; the last ones may be smaller."""
        for top in range(self.top, self.bottom, height):
            for left in range(self.left, self.right, width):
                yield Box(top, left, min(top + height, self.bottom), min(left + width, self.right))


@cache
def _sine_table() -> NDArray[np.int64]:
    with files("miso_gen").joinpath("tables/sine.npy").open("rb") as file:
        return np.asarray(np.load(file), np.int64)


def sin_turns(turns: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sine of an angle in turns (1 = 360 degrees), float64, the same bits on every machine.

    A table of 1,025 whole numbers over a quarter turn, linear interpolation; within 4e-7 of the sine.
    """
    position = np.asarray(turns, np.float64)
    position = (position - np.floor(position)) * 4096.0
    quarter = np.floor(position * (1.0 / 1024.0))
    inside = position - quarter * 1024.0
    falling = (quarter == 1.0) | (quarter == 3.0)
    inside = np.where(falling, 1024.0 - inside, inside)
    index = np.minimum(inside.astype(np.int64), 1023)
    table = _sine_table()
    low, high = table[index], table[index + 1]
    value = (low + (high - low) * (inside - index)) * 2.0**-30
    return np.where(quarter >= 2.0, -value, value)


def cos_turns(turns: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of an angle in turns; see :func:`sin_turns`."""
    return sin_turns(np.asarray(turns, np.float64) + 0.25)


TURNS_PER_RADIAN = 0.15915494309189535  #: 1 / (2 pi)


def to_lattice(coordinates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round pixel coordinates to the odd lattice points of polygon vertices."""
    return 2 * np.floor(np.asarray(coordinates, np.float64) * (LATTICE / 2)).astype(np.int64) + 1


@dataclass(frozen=True, eq=False)
class Spans:
    """A binary picture as the columns where each of its rows changes.

    Attributes:
        height: Rows of the picture.
        width: Columns of the picture.
        starts: (height + 1,) int64; row y owns ``columns[starts[y]:starts[y + 1]]``.
        columns: (n,) int64 in [0, width), strictly ascending within a row: the pixels from each odd one (counted from 1) up
            to the one after it are inside. A row may end inside: its last span then runs to the right border.
    """

    height: int
    width: int
    starts: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of_changes(cls, height: int, width: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Spans:
        """Sort changes (any order) into spans; those left of the canvas move to its border, those right of it are dropped."""
        inside = columns < width
        keys = np.sort(rows[inside] * np.int64(width) + np.maximum(columns[inside], 0))
        if (keys[1:] == keys[:-1]).any():  # changes at the same place cancel in pairs
            keys, counts = np.unique(keys, return_counts=True)
            keys = keys[counts % 2 == 1]
        rows, clipped = np.divmod(keys, width)
        starts = np.searchsorted(rows, np.arange(height + 1))
        return cls(height, width, starts.astype(np.int64), clipped)

    @classmethod
    def of_polygon(cls, rings: Sequence[NDArray[np.int64]], height: int, width: int) -> Spans:
        """Rasterise rings under the even-odd rule.

        Args:
            rings: Closed rings, each (n, 2) int64 of (x, y) on the odd lattice; the last vertex joins the first.
            height: Rows of the canvas; parts of the polygon beyond it are cut.
            width: Columns of the canvas.

        Raises:
            ValueError: A vertex has an even coordinate: it could meet a line of pixel centres.
        """
        return cls._of_polygon(rings, height, width, mirrored=False)

    @classmethod
    def of_mirrored_polygon(cls, rings: Sequence[NDArray[np.int64]], height: int, width: int) -> Spans:
        """Return the transpose of :meth:`of_polygon`, pixel for pixel: the picture mirrored at its main diagonal.

        Args:
            rings: As for :meth:`of_polygon`.
            height: Rows of the canvas, and columns of the result.
            width: Columns of the canvas, and rows of the result.
        """
        return cls._of_polygon([np.asarray(ring).reshape(-1, 2)[:, ::-1] for ring in rings], width, height, mirrored=True)

    @classmethod
    def _of_polygon(cls, rings: Sequence[NDArray[np.int64]], height: int, width: int, *, mirrored: bool) -> Spans:
        heads = np.concatenate([np.asarray(ring, np.int64).reshape(-1, 2) for ring in rings])
        tails = np.concatenate([np.roll(np.asarray(ring, np.int64).reshape(-1, 2), -1, axis=0) for ring in rings])
        if not (heads & 1).all():
            raise ValueError("polygon vertices must have odd lattice coordinates; use to_lattice().")
        upward = heads[:, 1] > tails[:, 1]
        x0, y0 = np.where(upward[:, None], tails, heads).T
        x1, y1 = np.where(upward[:, None], heads, tails).T
        first = np.clip(-((_CENTRE - y0) // LATTICE), 0, height)  # ceil((y0 - centre) / lattice)
        last = np.clip(-((_CENTRE - y1) // LATTICE), 0, height)
        counts = last - first
        edge = np.repeat(np.arange(len(counts)), counts)
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        rise = (y1 - y0)[edge]
        # The crossing's x is x0 + (centre - y0) run / rise; the first centre at or right of it, by whole numbers.
        run = (x1 - x0)[edge]
        numerator = (x0[edge] - _CENTRE) * rise + (rows * LATTICE + _CENTRE - y0[edge]) * run
        columns = -(-numerator // (rise * LATTICE))
        if mirrored:  # "right of the edge" has become "below the edge": a centre on one that runs to the right is not past it
            columns = np.where(run > 0, numerator // (rise * LATTICE) + 1, columns)
        return cls.of_changes(height, width, rows, columns)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(n,) int64: the row of each change."""
        return np.repeat(np.arange(self.height), np.diff(self.starts))

    @cached_property
    def signs(self) -> NDArray[np.int64]:
        """(n,) int64: +1 where a change enters the picture, -1 where it leaves."""
        place = np.arange(len(self.columns)) - np.repeat(self.starts[:-1], np.diff(self.starts))
        return 1 - 2 * (place & 1)

    @cached_property
    def row_counts(self) -> NDArray[np.int64]:
        """(height,) int64: pixels inside, by row."""
        counts = np.bincount(self.rows, self.signs * (self.width - self.columns), minlength=self.height)
        return counts.astype(np.int64)

    @cached_property
    def column_counts(self) -> NDArray[np.int64]:
        """(width,) int64: pixels inside, by column."""
        return np.cumsum(np.bincount(self.columns, self.signs, minlength=self.width)).astype(np.int64)

    @property
    def area(self) -> int:
        """Number of pixels inside."""
        return int(self.row_counts.sum())

    @cached_property
    def bounds(self) -> Box:
        """The smallest box that holds the picture; empty at the origin where nothing is inside."""
        rows, columns = np.flatnonzero(self.row_counts), np.flatnonzero(self.column_counts)
        if not len(rows):
            return Box(0, 0, 0, 0)
        return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    def bits(self, box: Box) -> Bits:
        """Return the pixels of a box that lies on the canvas.

        The changes are scattered as single bits; each row's running parity, by doubling shifts, then fills the spans. Of
        canvases up to 16 megapixels the whole is kept, for the next boxes.
        """
        if self.height * self.width <= _KEPT_PIXELS and box.left % 64 == 0:
            return self._whole.crop(*box.slices)
        return self._fill(box)

    @cached_property
    def _whole(self) -> Bits:
        return self._fill(Box(0, 0, self.height, self.width))

    def _fill(self, box: Box) -> Bits:
        height, width = box.shape
        count = (width + 63) // 64
        out = np.zeros((height, count), np.uint64)
        start, stop = self.starts[box.top], self.starts[box.bottom]
        if start == stop or not width:
            return Bits(out, width)
        columns = self.columns[start:stop] - box.left
        rows = self.rows[start:stop] - box.top
        if columns.max() >= width:
            before = columns < width
            rows, columns = rows[before], columns[before]
        np.maximum(columns, 0, out=columns)
        np.bitwise_xor.at(out.reshape(-1), rows * count + (columns >> 6), _BITS[columns & 63])
        for shift in (1, 2, 4, 8, 16, 32):
            out ^= out << np.uint64(shift)
        parity = np.bitwise_xor.accumulate(out >> np.uint64(63), axis=1)
        out[:, 1:] ^= np.uint64(0) - parity[:, :-1]
        return Bits.of(out, width)

    def mask(self, box: Box) -> NDArray[np.uint8]:
        """Return the pixels of a box that lies on the canvas, shape (h, w), uint8 in {0, 1}."""
        return self.bits(box).unpack()

    def touches(self, rows: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether any pixel of each run ``first`` <= x <= ``last`` of a row is inside; runs lie on the canvas."""
        before = self._changes_up_to(rows, first)
        return ((before & 1) == 1) | (self._changes_up_to(rows, last) > before)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.rows * self.width + self.columns

    def _changes_up_to(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._keys, rows * self.width + columns, side="right") - self.starts[rows]

    def block_counts(self, side: int = 16) -> NDArray[np.int64]:
        """Return the pixels inside each ``side`` x ``side`` block, shape (ceil(H / side), ceil(W / side)), int64."""
        across, down = -(-self.width // side), -(-self.height // side)
        out = np.empty((down, across), np.int64)
        edges = np.arange(0, self.width, side)
        for row in range(down):
            top, bottom = row * side, min((row + 1) * side, self.height)
            start, stop = self.starts[top], self.starts[bottom]
            changes = np.bincount(self.columns[start:stop], self.signs[start:stop], minlength=self.width)
            out[row] = np.add.reduceat(np.cumsum(changes), edges).astype(np.int64)
        return out

    def rolled(self, shifts: NDArray[np.int64]) -> Spans:
        """Return the picture with row y rolled cyclically to the right by ``shifts[y]`` pixels."""
        shifts = np.asarray(shifts, np.int64) % self.width
        unclosed = np.flatnonzero(np.diff(self.starts) & 1)
        rows = np.concatenate([self.rows, unclosed])
        moved = np.concatenate([self.columns, np.full(len(unclosed), self.width)]) + shifts[rows]
        wraps = moved >= self.width
        # An odd number of changes carried over the right border: the row is inside at its left border.
        inside = np.flatnonzero(np.bincount(rows[wraps], minlength=self.height) & 1)
        return Spans.of_changes(
            self.height,
            self.width,
            np.concatenate([rows, inside]),
            np.concatenate([moved - self.width * wraps, np.zeros(len(inside), np.int64)]),
        )
