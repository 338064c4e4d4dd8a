"""Maps of patches -> a map of pixels, row of patches by row of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_GAP = 1024  #: rows of a strip without patches at most


class Strips:
    """The mean of the maps of the patches that cover each pixel, 0 where there is none.

    Memory holds one row of patches, as wide as the image. Patches come in the order of their topmost rows.

    Args:
        height: Of the image, px.
        width: Of the image, px.
        size: Side of a patch, px.
    """

    def __init__(self, height: int, width: int, size: int) -> None:
        self.height, self.width, self.size = height, width, size
        self._top = 0
        self._sums = np.zeros((size, width), np.float64)
        self._counts = np.zeros((size, width), np.int64)

    def add(self, row: int, col: int, values: NDArray[np.floating]) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Take the map of a patch; yield (top, left, rows of the map) of what no later patch covers.

        Args:
            row: Topmost pixel of the patch; not above that of the patch before.
            col: Leftmost pixel.
            values: (size, size).
        """
        if row < self._top:
            raise ValueError(f"patches must come from top to bottom, got row {row} after {self._top}.")
        yield from self._until(row)
        self._sums[:, col : col + self.size] += values
        self._counts[:, col : col + self.size] += 1

    def finish(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Yield the rest of the map."""
        yield from self._until(self.height)

    def _until(self, row: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Yield the rows above a row, and move on to it."""
        done = min(row - self._top, self.size)
        if done > 0:
            means = self._sums[:done] / np.maximum(self._counts[:done], 1)
            yield self._top, 0, means.astype(np.float32)
            for held in (self._sums, self._counts):
                held[: self.size - done] = held[done:]
                held[self.size - done :] = 0
            self._top += done
        while self._top < row:  # no patch reaches here
            rows = min(_GAP, row - self._top)
            yield self._top, 0, np.zeros((rows, self.width), np.float32)
            self._top += rows
