"""Cells on an image: one, or many."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.geometry import Box
from miso_gen.scene.figures import Edges, Figure, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miso_gen.scene.shapes import Pose

_KEPT_PIXELS = 1 << 22  #: of stamps, about 40 MB: what the tiles of one row have in common
_LARGE = 1 << 20  #: pixels of a cell that is drawn tile by tile


@dataclass(frozen=True, eq=False)
class PlacedCell:
    """A cell on an image.

    Attributes:
        figure: The cell.
        pose: Where it lies.
        instance: Its object id.
        telling: Whether the parts that tell its type are evidence for the label; otherwise they are as the rest of it.
    """

    figure: Figure
    pose: Pose
    instance: int = 1
    telling: bool = True

    @cached_property
    def levels(self) -> NDArray[np.uint8]:
        """Truth level by code of a stamp, (parts + 1,) uint8."""
        levels = (part.level if self.telling else 1 for part in self.figure.parts)
        return np.array([0, *levels], np.uint8)

    @cached_property
    def bounds(self) -> Box:
        """A box that holds every pixel it touches; parts of it may lie beyond the image."""
        return self.figure.bounds(self.pose)


@dataclass(frozen=True, eq=False)
class Crowd:
    """Cells of an image, later ones on top of earlier ones.

    Attributes:
        cells: The cells, each with at least one part.
        edges: ``soft``: parts fade over about a pixel; ``hard``: a pixel shows what its centre is inside of. The truth is the
            same.
        canvas: The image.
    """

    cells: tuple[PlacedCell, ...]
    edges: Edges
    canvas: Box
    _kept: OrderedDict[int, Stamp] = field(default_factory=OrderedDict, repr=False)

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        boxes = (cell.bounds.intersection(self.canvas) for cell in self.cells)
        return np.array([(box.top, box.left, box.bottom, box.right) for box in boxes], np.int64).reshape(-1, 4)

    def stamps(self, box: Box) -> Iterator[tuple[PlacedCell, Stamp]]:
        """Yield the cells that touch a box on the image, each with what it is there, in order."""
        top, left, bottom, right = self._bounds.T
        for number in np.flatnonzero((top < box.bottom) & (bottom > box.top) & (left < box.right) & (right > box.left)).tolist():
            cell = self.cells[number]
            yield cell, self._stamp(number, cell.bounds.intersection(box))

    def _stamp(self, number: int, box: Box) -> Stamp:
        cell = self.cells[number]
        kept = self._kept.get(number)
        if kept is not None and kept.box.intersection(box) == box:
            self._kept.move_to_end(number)
            return kept.crop(box)
        whole = cell.bounds.intersection(self.canvas)
        small = whole.height * whole.width <= _LARGE
        stamp = cell.figure.stamp(whole if small else box, cell.pose, self.edges)
        self._kept[number] = stamp
        while len(self._kept) > 1 and sum(s.codes.size for s in self._kept.values()) > _KEPT_PIXELS:
            self._kept.popitem(last=False)
        return stamp.crop(box)
