"""Points in hexagonal bins: how many, and where on average.

A lattice of hexagons, taken as two rectangular ones: centres (j, i), and centres (j + 1/2, i + 1/2), in units in which a point
belongs to the nearest one, distances along the second axis counting sqrt(3) times. With d the distance of a point from the
nearest whole number along the first axis, it belongs to the first lattice where it is within (1 - d) / 3 of a whole number along
the second one: along a row of pixels, bins are runs.

Source: Carr et al., Scatterplot matrix techniques for large N, 1987; Wilkinson et al., Graph-theoretic scagnostics, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from miso_gen.planes import Bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 50  #: bins along an axis at first
MOST: Final = 250  #: bins that hold a point, at most; while there are more, bins along an axis are halved
SCALE: Final = 1000  #: places of bins are whole numbers from 0 to this
_PLACES: Final = tuple(np.uint64(sum(1 << bit for bit in range(64) if bit >> k & 1)) for k in range(6))  #: bits of odd k-th digit


class Bins(NamedTuple):
    """The bins that hold a point, in order of the second axis, then of the lattice, then of the first axis.

    Attributes:
        counts: (n,) int64, points of each.
        places: (n, 2) int64, mean of its points on both axes, each scaled to [0, 1000], rounded down.
    """

    counts: NDArray[np.int64]
    places: NDArray[np.int64]


def bins_of_points(x: NDArray[np.float64], y: NDArray[np.float64]) -> Bins:
    """Return the bins of points (n,) with some extent along both axes."""
    first, second = ((values - values.min()) / (values.max() - values.min()) for values in (x, y))
    side = SIDE
    while True:
        across, up = first * (side - 1), second * ((side - 1) / np.sqrt(3))
        near, floor = np.floor(across + 0.5), np.floor(across)
        level = np.floor(up + 0.5)
        is_first = np.abs(up - level) <= (1 - np.abs(across - near)) / 3
        numbers = np.where(is_first, level * 2 * side + near, np.floor(up) * 2 * side + floor + side).astype(np.int64)
        _, where = np.unique(numbers, return_inverse=True)
        counts = np.bincount(where)
        if len(counts) <= MOST:
            break
        side //= 2
    means = [np.bincount(where, values) / counts for values in (first, second)]
    return Bins(counts, np.stack([np.floor(mean * SCALE) for mean in means], 1).astype(np.int64))


def bins_of_mask(mask: NDArray[np.bool_]) -> Bins | None:
    """Return the bins of the pixels of a mask (H, W), rows being the first axis; None where they lie on one line.

    Exact; the time follows the size of the mask and hardly the number of pixels in it.
    """
    words = Bits.pack(mask).words
    rows = np.flatnonzero(words.any(1))
    columns = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(words, 0).astype("<u8").view(np.uint8), bitorder="little"))
    if len(rows) < 2 or len(columns) < 2:
        return None
    box = _Box(words[rows], rows - rows[0], int(columns[0]), int(columns[-1]))
    if box.on_a_line():
        return None
    side = SIDE
    while True:
        found = box.bins(side)
        if found is not None:
            return found
        side //= 2


@dataclass
class _Box:
    """The rows of a mask with a pixel, 64 pixels a word.

    Attributes:
        words: (h, ceil(W / 64)) uint64, lowest bit first.
        rows: (h,), number of each row from the first one on.
        first: First column with a pixel.
        last: Last column with a pixel.
    """

    words: NDArray[np.uint64]
    rows: NDArray[np.int64]
    first: int
    last: int

    def __post_init__(self) -> None:
        lines, width = self.words.shape
        empty = np.zeros((lines, 1), np.uint64)
        self.words = np.concatenate([self.words, empty], 1)  # so that there is a word past the last column
        ones = np.bitwise_count(self.words).astype(np.int64)
        self.pixels = np.cumsum(ones, 1) - ones  # before each word
        self.total = int(ones.sum())
        columns = self._columns(self.words) + ones * (64 * np.arange(width + 1))
        self.columns = np.cumsum(columns, 1) - columns  # sum of columns before each word

    @staticmethod
    def _columns(words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the sum of the places of the bits that are set."""
        total = np.zeros(words.shape, np.int64)
        for k, mask in enumerate(_PLACES):
            total += np.bitwise_count(words & mask).astype(np.int64) << k
        return total

    def on_a_line(self) -> bool:
        """Return whether all pixels lie on one straight line; then there is at most one in each row, or in each column."""
        if self.total > max(len(self.rows), self.last - self.first + 1):
            return False
        line, word = np.nonzero(self.words)
        bits = np.unpackbits(self.words[line, word, None].astype("<u8").view(np.uint8), axis=1, bitorder="little")
        which, place = np.nonzero(bits)
        points = np.stack([self.rows[line[which]], 64 * word[which] + place], 1)
        (dy, dx), away = points[-1] - points[0], points - points[0]
        return not np.any(away[:, 0] * dx - away[:, 1] * dy)

    def bins(self, side: int) -> Bins | None:
        """Return the bins of a lattice; None where more hold a pixel than may."""
        lines, height, width = len(self.rows), int(self.rows[-1]) + 1, self.last - self.first + 1
        across = self.rows * ((side - 1) / (height - 1))
        near, floor = np.floor(across + 0.5).astype(np.int64), np.floor(across).astype(np.int64)
        reach = (1 - np.abs(across - near)) / 3
        up = (side - 1) / np.sqrt(3)  # the last column, along the second axis
        levels = np.arange(int(up + 0.5) + 1)
        edges = np.empty((lines, 2 * len(levels) + 1), np.int64)  # first column of each run: of one lattice, of the other one
        edges[:, :-1:2] = np.ceil((levels - reach[:, None]) * ((width - 1) / up))
        edges[:, 1::2] = np.floor((levels + reach[:, None]) * ((width - 1) / up)) + 1
        edges[:, -1] = width
        edges = edges.clip(0, width) + self.first
        numbers = np.empty((lines, 2 * len(levels)), np.int64)
        numbers[:, ::2] = levels * 2 * side + near[:, None]
        numbers[:, 1::2] = levels * 2 * side + side + floor[:, None]
        line, word, rest = np.arange(lines)[:, None], edges >> 6, (edges & 63).astype(np.uint64)
        part = self.words[line, word] & ((np.uint64(1) << rest) - np.uint64(1))
        ones = np.bitwise_count(part).astype(np.int64)
        pixels = np.diff(self.pixels[line, word] + ones, axis=1)
        many = 2 * side * (len(levels) + 1)

        def collected(weights: NDArray[np.int64]) -> NDArray[Any]:  # float64 of whole numbers below 2^53
            return np.bincount(numbers.reshape(-1), weights.reshape(-1), many)

        counts = collected(pixels)
        held = np.flatnonzero(counts)
        if len(held) > MOST:
            return None
        columns = np.diff(self.columns[line, word] + self._columns(part) + 64 * word * ones, axis=1) - self.first * pixels
        sums = (collected(pixels * self.rows[:, None])[held], collected(columns)[held])
        whole = counts[held].astype(np.int64)
        places = [
            SCALE * total.astype(np.int64) // (whole * (extent - 1)) for total, extent in zip(sums, (height, width), strict=True)
        ]
        return Bins(whole, np.stack(places, 1))
