"""Where a thing is: regions of the image plane that yield their mask for any box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from miso_gen.geometry import Box, Spans
from miso_gen.planes import Bits

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Region(Protocol):
    """Pixels of an image, found box by box."""

    @property
    def bounds(self) -> Box:
        """A box on the canvas outside of which there is nothing."""

    def mask(self, box: Box) -> Bits | None:
        """Return the region in a box on the canvas; None where the box holds nothing."""


class LabelledRegion(Region, Protocol):
    """A region of several objects."""

    def labels(self, box: Box, dtype: np.dtype[Any]) -> tuple[Bits, NDArray[Any]] | None:
        """Return the region in a box and its object ids, (h, w) of an unsigned type, 0 outside; None where there is nothing."""


@dataclass(frozen=True, eq=False)
class Silhouette:
    """A rasterised shape.

    Attributes:
        spans: The shape, or its mirror image at the main diagonal.
        transposed: Whether rows and columns of ``spans`` are exchanged.
    """

    spans: Spans
    transposed: bool = False

    @cached_property
    def bounds(self) -> Box:
        """The smallest box that holds the shape."""
        return self.spans.bounds.transposed if self.transposed else self.spans.bounds

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.spans.area

    def mask(self, box: Box) -> Bits | None:
        """See :class:`Region`."""
        if not self.bounds.overlaps(box):
            return None
        return Bits.pack(self.spans.mask(box.transposed).T) if self.transposed else self.spans.bits(box)


@dataclass(frozen=True)
class Disc:
    """The pixels whose centre is nearer than ``radius`` to the centre of pixel (row, column), cut at the image border."""

    row: int
    column: int
    radius: int
    height: int
    width: int

    @property
    def bounds(self) -> Box:
        """The box of the disc on the canvas."""
        reach = self.radius - 1
        around = Box(self.row - reach, self.column - reach, self.row + reach + 1, self.column + reach + 1)
        return around.intersection(Box(0, 0, self.height, self.width))

    def mask(self, box: Box) -> Bits | None:
        """See :class:`Region`."""
        inside = self.bounds.intersection(box)
        if inside.empty:
            return None
        out = np.zeros(box.shape, np.bool_)
        rows = np.arange(inside.top - self.row, inside.bottom - self.row)[:, None]
        columns = np.arange(inside.left - self.column, inside.right - self.column)[None, :]
        place = inside.shifted(-box.top, -box.left).slices
        np.less(rows * rows + columns * columns, self.radius**2, out=out[place])
        return Bits.pack(out)


def disc_runs(radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of a disc and their half widths: row dy holds the columns -half .. half, all with d < radius."""
    rows = np.arange(1 - radius, radius)
    half = np.floor(np.sqrt((radius * radius - 1 - rows * rows).astype(np.float64))).astype(np.int64)
    return rows, half


class DiscField:
    """Discs that do not overlap, cut by a silhouette; only those that show a pixel count.

    Args:
        centres: (n, 2) int64, rows and columns on the canvas, row-major order; pairs nearer than their radii together are
            forbidden.
        radii: Radius in pixels of all discs, or of each, (n,) int64 from 1; a pixel belongs to a disc iff its centre is nearer
            than that.
        within: The silhouette that cuts the discs.
    """

    def __init__(self, centres: NDArray[np.int64], radii: int | NDArray[np.int64], within: Silhouette) -> None:
        self.within = within
        each = np.broadcast_to(np.asarray(radii, np.int64), len(centres))
        visible = self._visible(centres, each)
        self.centres, self.radii = centres[visible], each[visible]
        self._sizes = np.unique(self.radii).tolist()
        self._reach = max(self._sizes, default=1) - 1

    def _visible(self, centres: NDArray[np.int64], radii: NDArray[np.int64]) -> NDArray[np.bool_]:
        spans = self.within.spans
        reach = radii[:, None] - 1
        side = 16
        counts = np.pad(spans.block_counts(side), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        top, left = (np.maximum(centres - reach, 0) // side).T
        last_row, last_column = (np.minimum(centres + reach, [spans.height - 1, spans.width - 1]) // side + 1).T
        inside = counts[last_row, last_column] - counts[top, last_column] - counts[last_row, left] + counts[top, left]
        bottom, right = np.minimum(last_row * side, spans.height), np.minimum(last_column * side, spans.width)
        visible = inside == (bottom - top * side) * (right - left * side)
        near = np.flatnonzero((inside > 0) & ~visible)  # the blocks around hold both: look at every run of these discs
        for radius in np.unique(radii[near]).tolist():
            mine = near[radii[near] == radius]
            rows, half = disc_runs(radius)
            y = centres[mine, 0][:, None] + rows
            first = np.maximum(centres[mine, 1][:, None] - half, 0)
            last = np.minimum(centres[mine, 1][:, None] + half, spans.width - 1)
            on_canvas = (y >= 0) & (y < spans.height)
            touched = spans.touches(np.clip(y, 0, spans.height - 1), first, last) & on_canvas
            visible[mine] = touched.any(axis=1)
        return visible

    @property
    def bounds(self) -> Box:
        """The box of the silhouette."""
        return self.within.bounds

    def boxes(self) -> NDArray[np.int64]:
        """Return the box of every disc on the canvas (before the cut), shape (n, 4): top, left, bottom, right."""
        reach = self.radii[:, None] - 1
        low = np.maximum(self.centres - reach, 0)
        high = np.minimum(self.centres + reach + 1, [self.within.spans.height, self.within.spans.width])
        return np.concatenate([low, high], axis=1)

    def labels(self, box: Box, dtype: np.dtype[Any]) -> tuple[Bits, NDArray[Any]] | None:
        """See :class:`LabelledRegion`; discs are numbered from 1 in row-major order of their centres."""
        reach = self._reach
        first, last = np.searchsorted(self.centres[:, 0], [box.top - reach, box.bottom + reach])
        columns = self.centres[first:last, 1]
        near = first + np.flatnonzero((columns >= box.left - reach) & (columns < box.right + reach))
        if not len(near):
            return None
        # A margin around the box takes the pixels that stick out, so that none needs a test; it is cut off at the end.
        margin = 2 * reach
        padded = np.zeros((box.height + 2 * margin, box.width + 2 * margin), dtype)
        origins = (self.centres[near, 0] - box.top + margin) * padded.shape[1] + self.centres[near, 1] - box.left + margin
        ids = (near + 1).astype(dtype)
        alike = len(self._sizes) == 1
        for radius in self._sizes if alike else np.unique(self.radii[near]).tolist():
            mine = slice(None) if alike else self.radii[near] == radius
            rows, across = _disc_pixels(radius)
            places = origins[mine, None] + (rows * padded.shape[1] + across)
            padded.reshape(-1)[places] = ids[mine, None]
        cut = padded[margin : margin + box.height, margin : margin + box.width]
        inside = self.within.mask(box)
        if inside is None:
            return None
        ids = cut * inside.unpack()
        return Bits.pack(ids != 0), ids

    def mask(self, box: Box) -> Bits | None:
        """See :class:`Region`."""
        labels = self.labels(box, np.dtype(np.uint32))
        return None if labels is None else labels[0]


@lru_cache(maxsize=32)
def _disc_pixels(radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the pixels of a disc, relative to its centre."""
    rows, half = disc_runs(radius)
    return np.repeat(rows, 2 * half + 1), np.concatenate([np.arange(-h, h + 1) for h in half])


@dataclass(frozen=True)
class Inner:
    """What is left of a region after a rim is taken away: pixels with no outside pixel nearer than or at ``rim``.

    The image border is no outline: what lies beyond it counts as inside.
    """

    region: Silhouette
    rim: int
    height: int
    width: int

    @property
    def bounds(self) -> Box:
        """The box of the region."""
        return self.region.bounds

    def mask(self, box: Box) -> Bits | None:
        """See :class:`Region`."""
        around = box.expanded(self.rim).intersection(Box(0, 0, self.height, self.width))
        mask = self.region.mask(around)
        if mask is None:
            return None
        steps = np.arange(-self.rim, self.rim + 1)
        kernel = (steps[:, None] ** 2 + steps**2 <= self.rim**2).astype(np.uint8)
        eroded = np.asarray(cv2.erode(mask.unpack(), kernel), np.uint8)  # a minimum: exact in every version
        return Bits.pack(eroded[box.shifted(-around.top, -around.left).slices])
