"""Object labels of an image as runs of pixels.

A picture of cells is mostly background: a run for each row of a cell takes a hundredth of the memory of the pixels, answers for
any box, and is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.planes import Bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIP = 256  #: rows painted at a time where runs overlap


@dataclass(frozen=True, eq=False)
class LabelRuns:
    """Labelled objects that do not overlap, as runs of pixels; a region of a scene.

    Runs stand in the order of their rows and columns; two that touch in a row are of different objects.

    Attributes:
        height: Rows of the picture.
        width: Columns of the picture.
        starts: (height + 1,) int64; row y owns the runs ``starts[y]`` to ``starts[y + 1] - 1``.
        first: (n,) int32, the first column of each run.
        stop: (n,) int32, the column after its last.
        ids: (n,) uint32, the object that it belongs to; 1 or more.
    """

    height: int
    width: int
    starts: NDArray[np.int64]
    first: NDArray[np.int32]
    stop: NDArray[np.int32]
    ids: NDArray[np.uint32]

    @classmethod
    def of_runs(
        cls,
        height: int,
        width: int,
        rows: NDArray[Any],
        first: NDArray[Any],
        stop: NDArray[Any],
        ids: NDArray[Any],
    ) -> LabelRuns:
        """Return the picture of runs in any order; what lies beyond it is cut, and later runs lie on top of earlier ones.

        Args:
            height: Rows of the picture.
            width: Columns of the picture.
            rows: (n,) whole numbers: the row of each run.
            first: (n,) its first column.
            stop: (n,) the column after its last.
            ids: (n,) its object, from 1.
        """
        first, stop = np.clip(first, 0, width), np.clip(stop, 0, width)
        there = (rows >= 0) & (rows < height) & (first < stop)
        rows, first, stop, ids = (np.asarray(values)[there].astype(np.int64) for values in (rows, first, stop, ids))
        order = np.lexsort((np.arange(len(rows)), rows))
        rows, first, stop, ids = rows[order], first[order], stop[order], ids[order]
        along = np.lexsort((first, rows))
        over = (rows[along][1:] == rows[along][:-1]) & (first[along][1:] < stop[along][:-1])
        if over.any():
            return cls._painted(height, width, rows, first, stop, ids)
        return cls._sorted(height, width, rows[along], first[along], stop[along], ids[along])

    @classmethod
    def of_labels(cls, labels: NDArray[Any]) -> LabelRuns:
        """Return the picture of an array of labels, (h, w) of whole numbers, 0 for the background."""
        height, width = labels.shape
        parts = [
            _runs_of(labels[top : top + _STRIP], top) for top in range(0, height, _STRIP)
        ]  # strip by strip, so that little memory is needed
        rows, first, stop, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls._sorted(height, width, rows, first, stop, ids)

    @classmethod
    def _painted(cls, height: int, width: int, *runs: NDArray[np.int64]) -> LabelRuns:
        """Return the picture of runs sorted by row that overlap: painted in order, strip by strip, and read again."""
        rows = runs[0]
        parts = []
        for top in range(0, height, _STRIP):
            low, high = np.searchsorted(rows, [top, min(top + _STRIP, height)])
            strip = np.zeros((min(_STRIP, height - top), width), np.uint32)
            _paint(strip, *(values[low:high] for values in runs), top=top, left=0)
            parts.append(_runs_of(strip, top))
        joined = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls._sorted(height, width, *joined)

    @classmethod
    def _sorted(
        cls, height: int, width: int, rows: NDArray[Any], first: NDArray[Any], stop: NDArray[Any], ids: NDArray[Any]
    ) -> LabelRuns:
        """Return the picture of runs that are in order and do not overlap; those of one object that touch become one."""
        joins = np.flatnonzero((rows[1:] == rows[:-1]) & (first[1:] == stop[:-1]) & (ids[1:] == ids[:-1]))
        if len(joins):
            keep_first, keep_stop = np.ones(len(rows), np.bool_), np.ones(len(rows), np.bool_)
            keep_first[joins + 1], keep_stop[joins] = False, False
            rows, first, stop, ids = rows[keep_first], first[keep_first], stop[keep_stop], ids[keep_first]
        starts = np.searchsorted(rows, np.arange(height + 1)).astype(np.int64)
        return cls(height, width, starts, first.astype(np.int32), stop.astype(np.int32), ids.astype(np.uint32))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(n,) int64: the row of each run."""
        return np.repeat(np.arange(self.height), np.diff(self.starts))

    @cached_property
    def objects(self) -> NDArray[np.int64]:
        """(k,) int64: the ids there are, ascending."""
        return np.unique(self.ids).astype(np.int64)

    @cached_property
    def bounds(self) -> Box:
        """The smallest box that holds all objects; empty at the origin where there are none."""
        if not len(self.ids):
            return Box(0, 0, 0, 0)
        return Box(int(self.rows[0]), int(self.first.min()), int(self.rows[-1]) + 1, int(self.stop.max()))

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(k,) int64: pixels of each of :attr:`objects`."""
        counts = np.bincount(self._places, self.stop.astype(np.int64) - self.first, minlength=len(self.objects))
        return counts.astype(np.int64)

    @cached_property
    def centroids(self) -> NDArray[np.float64]:
        """(k, 2) float64: mean row and column of the pixels of each of :attr:`objects`."""
        lengths = self.stop.astype(np.int64) - self.first
        doubled = lengths * (self.first.astype(np.int64) + self.stop - 1)  # twice the sum of the columns of a run
        rows = np.bincount(self._places, lengths * self.rows, minlength=len(self.objects))
        columns = np.bincount(self._places, doubled, minlength=len(self.objects)) / 2.0
        return np.stack([rows, columns], axis=1) / self.areas[:, None]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(k, 4) int64: the box of each of :attr:`objects`: top, left, bottom, right, half open."""
        out = np.empty((len(self.objects), 4), np.int64)
        out[:, :2], out[:, 2:] = 2**40, -1
        np.minimum.at(out[:, 0], self._places, self.rows)
        np.minimum.at(out[:, 1], self._places, self.first)
        np.maximum.at(out[:, 2], self._places, self.rows + 1)
        np.maximum.at(out[:, 3], self._places, self.stop)
        return out

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        return np.searchsorted(self.objects, self.ids)

    def only(self, ids: NDArray[Any]) -> LabelRuns:
        """Return the picture of some of the objects, under their ids."""
        kept = np.isin(self.ids, ids)
        return self._sorted(self.height, self.width, self.rows[kept], self.first[kept], self.stop[kept], self.ids[kept])

    def renumbered(self, ids: NDArray[Any]) -> LabelRuns:
        """Return the picture with other ids: ``ids[i]`` for the i-th of :attr:`objects`."""
        return self._sorted(self.height, self.width, self.rows, self.first, self.stop, np.asarray(ids)[self._places])

    def placed(self, height: int, width: int, top: int, left: int) -> LabelRuns:
        """Return the picture on another canvas, its corner at row ``top`` and column ``left``; what lies beyond is cut."""
        return self.of_runs(height, width, self.rows + top, self.first + left, self.stop + left, self.ids)

    def labels(self, box: Box, dtype: np.dtype[Any]) -> tuple[Bits, NDArray[Any]] | None:
        """Return mask and object ids of a box on the picture, (h, w) of an unsigned type; None where there is nothing."""
        ids = self._array(box, dtype)
        return None if ids is None else (Bits.pack(ids), ids)

    def mask(self, box: Box) -> Bits | None:
        """Return the pixels of a box that belong to an object; None where there is none."""
        ids = self._array(box, np.dtype(np.uint32))
        return None if ids is None else Bits.pack(ids)

    def _array(self, box: Box, dtype: np.dtype[Any]) -> NDArray[Any] | None:
        low, high = self.starts[box.top], self.starts[box.bottom]
        first, stop = self.first[low:high].astype(np.int64), self.stop[low:high].astype(np.int64)
        near = np.flatnonzero((first < box.right) & (stop > box.left))
        if not len(near):
            return None
        first, stop = np.maximum(first[near], box.left), np.minimum(stop[near], box.right)
        out = np.zeros(box.shape, dtype)
        _paint(out, self.rows[low:high][near], first, stop, self.ids[low:high][near], top=box.top, left=box.left)
        return out


def _paint(
    out: NDArray[Any], rows: NDArray[Any], first: NDArray[Any], stop: NDArray[Any], ids: NDArray[Any], *, top: int, left: int
) -> None:
    """Write runs, in order, to an array whose corner is (top, left) and which holds them."""
    lengths = stop - first
    ends = np.cumsum(lengths)
    if not len(ends):
        return
    origins = (rows - top) * out.shape[1] + first - left
    places = np.arange(ends[-1]) + np.repeat(origins - (ends - lengths), lengths)
    out.reshape(-1)[places] = np.repeat(ids.astype(out.dtype), lengths)


def _runs_of(labels: NDArray[Any], top: int) -> tuple[NDArray[Any], ...]:
    """Return rows, first columns, stops and ids of the runs of an array, in order."""
    height, width = labels.shape
    edged = np.zeros((height, width + 2), labels.dtype)
    edged[:, 1:-1] = labels
    rows, columns = np.nonzero(edged[:, 1:] != edged[:, :-1])  # a change between columns x - 1 and x
    ids = edged[rows, columns + 1]
    opens = np.flatnonzero(ids != 0)
    return rows[opens] + top, columns[opens], columns[opens + 1], ids[opens]
