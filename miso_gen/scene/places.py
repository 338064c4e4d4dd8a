"""Places of nuclei before they have their sizes: chosen, thinned, and evened along rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.scene.nuclei import Nuclei
from miso_gen.scene.packing import clearances, first_come, near_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

SHEET, PALISADE, PEARL = 0, 1, 2  #: zones, from round to flat nuclei
_LAYERS = 8  #: rows of an outline that have a number


@dataclass(frozen=True, eq=False)
class Places:
    """Where nuclei lie, (n,) each.

    Attributes:
        y: Rows of the centres, in pixels.
        x: Their columns.
        turns: Direction of the long axis, from the right downwards, in turns.
        outline: Number of the outline; -1 in the stroma.
        zone: ``SHEET``, ``PALISADE`` or ``PEARL``.
        row: Number of the row; places of a row stand in its order. -1: in no row.
    """

    y: Floats
    x: Floats
    turns: Floats
    outline: Integers
    zone: Integers
    row: Integers

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def loose(cls, y: Floats, x: Floats, turns: Floats, outline: Integers, zone: int = SHEET) -> Places:
        """Return places of one zone that are in no row."""
        return cls(y, x, turns, outline, np.full(len(y), zone), np.full(len(y), -1))

    @classmethod
    def joined(cls, *parts: Places) -> Places:
        """Return the places of several, in their order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Places:
        """Return some of the places."""
        return Places(*(getattr(self, name)[which] for name in Places.__dataclass_fields__))

    def numbered(self, outlines: NDArray[np.intp], layer: int | None = None) -> Places:
        """Return the places with ``outlines[i]`` for outline i; in rows, where these are a layer of the outlines, 0 to 7."""
        number = outlines[self.outline]
        return replace(self, outline=number, row=self.row if layer is None else number * _LAYERS + layer)

    def inside(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return whether places are on a canvas, at least half a pixel from its border."""
        return (self.y >= 0.5) & (self.y <= height - 0.5) & (self.x >= 0.5) & (self.x <= width - 0.5)

    def on_canvas(self, height: int, width: int) -> Places:
        """Return the places on a canvas."""
        return self.chosen(self.inside(height, width))

    def uncrowded(self, major: float, minor: float, overlap: float) -> Places:
        """Return the places at which ellipses of half axes overlap by at most ``overlap`` px; earlier ones go first."""
        first, second = near_pairs(self.y, self.x, 2.0 * major)
        conflict = clearances(self._ellipses(major, minor), first, second)[0] < -overlap
        return self.chosen(first_come(len(self), first[conflict], second[conflict]))

    def roomiest(self, major: float, minor: float, reach: float, count: int) -> Places:
        """Return ``count`` places: first those go, in turn, that are nearest to one that stands before them.

        Args:
            major: Half of the long axis of the ellipses that are compared, in pixels.
            minor: Half of their short axis.
            reach: Centres that are farther apart, in pixels, are not near.
            count: How many stay, at most as many as there are.
        """
        first, second = near_pairs(self.y, self.x, reach)
        gap = clearances(self._ellipses(major, minor), first, second)[0]
        low, high = np.minimum(first, second), np.maximum(first, second)
        order = np.lexsort((low, high, gap))
        rank = np.full(len(self), len(order))
        np.minimum.at(rank, high[order], np.arange(len(order)))
        return self.chosen(np.sort(np.argsort(rank, kind="stable")[len(self) - count :]))

    def evened(self, pitch: float, rounds: int) -> Places:
        """Return the places with those of each row moved along it, so that gaps in it close.

        In each round a place moves a quarter of the way, along the row only, to where its two neighbours are equally far. Where
        the row is cut, more than four pitches, nothing pulls.
        """
        mine = np.flatnonzero(self.row >= 0)
        if not len(mine):
            return self
        mine = mine[np.argsort(self.row[mine], kind="stable")]
        row = self.row[mine]
        first = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
        last = np.append(first[1:], len(mine)) - 1
        after, before = np.arange(len(mine)) + 1, np.arange(len(mine)) - 1
        after[last], before[first] = first, last
        # The row runs across the long axis of a columnar nucleus, along that of a flat one.
        along = self.turns[mine] + np.where(self.zone[mine] == PEARL, 0.0, 0.25)
        dy, dx = sin_turns(along), cos_turns(along)
        y, x = self.y[mine], self.x[mine]
        reach = 16.0 * pitch * pitch
        for _ in range(rounds):
            ahead_y, ahead_x, back_y, back_x = y[after] - y, x[after] - x, y[before] - y, x[before] - x
            held = (ahead_y * ahead_y + ahead_x * ahead_x < reach) & (back_y * back_y + back_x * back_x < reach)
            way = np.where(held, 0.25 * ((ahead_y + back_y) * dy + (ahead_x + back_x) * dx), 0.0)
            y, x = y + way * dy, x + way * dx
        all_y, all_x = self.y.copy(), self.x.copy()
        all_y[mine], all_x[mine] = y, x
        return replace(self, y=all_y, x=all_x)

    def _ellipses(self, major: float, minor: float) -> Nuclei:
        zero = np.zeros(len(self))
        return Nuclei(self.y, self.x, self.turns, zero + major, zero + minor, zero, zero, zero, zero)
