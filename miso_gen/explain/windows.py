"""Tiles of an image: what each decides on, what is read for it, and how much it weighs where tiles overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miso_gen.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Window(NamedTuple):
    """A tile of an image.

    Attributes:
        core: What it decides on: cores cover the image once.
        read: What is read for that.
        height: Of the image, px.
        width: Of the image, px.
    """

    core: Box
    read: Box
    height: int
    width: int

    def offset(self, strides: tuple[int, int]) -> tuple[int, int]:
        """Return row and column, among those of the whole image, of the first value of what is read."""
        return self.read.top // strides[0], self.read.left // strides[1]

    def inside(self, size: tuple[int, int], strides: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of the core among the values of what is read.

        Args:
            size: Values of what is read, in height and width.
            strides: Pixels to a value.
        """
        core, read = self.core, self.read
        first, left = (core.top - read.top) // strides[0], (core.left - read.left) // strides[1]
        last = size[0] if core.bottom == self.height else min(size[0], (core.bottom - read.top) // strides[0])
        right = size[1] if core.right == self.width else min(size[1], (core.right - read.left) // strides[1])
        return slice(first, last), slice(left, right)


def windows_of(shape: tuple[int, int], tile: int, overlap: int, step: int) -> list[Window]:
    """Return the tiles of an image, row by row.

    Args:
        shape: Height and width of the image, px.
        tile: Side of a core, px; a multiple of ``step``.
        overlap: What is read around it, px; a multiple of ``step``.
        step: What is read begins at multiples of it, px.
    """
    rows, cols = (_spans(side, tile, overlap, step) for side in shape)
    return [
        Window(Box(top, left, bottom, right), Box(first, begin, last, end), *shape)
        for top, bottom, first, last in rows
        for left, right, begin, end in cols
    ]


def _spans(side: int, tile: int, overlap: int, step: int) -> list[tuple[int, int, int, int]]:
    """Return first and end of each core along one axis, and of what is read for it, which is never less than a tile with it."""
    found = []
    for first in range(0, side, tile):
        end = min(first + tile, side)
        last = min(end + overlap, side)
        begin = max(0, min(first - overlap, last - tile - overlap)) // step * step
        found.append((first, end, begin, last))
    return found


def tent(first: int, end: int, begin: int, last: int, side: int, overlap: int) -> NDArray[np.float32]:
    """Return the weights of what is read for a core along one axis: with those of its neighbours, they sum up to 1."""
    place = np.arange(begin, last) + 0.5
    weights = np.ones(last - begin)
    if first > 0:
        weights *= np.clip((place - (first - overlap)) / (2 * overlap), 0, 1) if overlap else place > first
    if end < side:
        weights *= np.clip(((end + overlap) - place) / (2 * overlap), 0, 1) if overlap else place < end
    return weights.astype(np.float32)


def rounded_up(value: int, step: int) -> int:
    """Return the least multiple of a step that is not less than a value."""
    return -(-value // step) * step
