"""Smooth random fields: random values at nodes, bilinear between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEP = 2.0**-16
_STRIP = 64


def centres(first: int, last: int) -> Floats:
    """Return the centres of the pixels ``first`` .. ``last - 1`` along an axis."""
    return np.arange(first, last, dtype=np.float64) + 0.5


def to_nodes(values: Floats) -> Floats:
    """Return values rounded to 1 / 65536, halves up: what a node may hold."""
    return np.floor(values * 65536.0 + 0.5) * _STEP


@dataclass(frozen=True, eq=False)
class NodeGrid:
    """A smooth field over a rectangle, continued at its border by the values there.

    Node (i, j) lies at ((i + 1/2) step_y, (j + 1/2) step_x) from the corner of the field (half-pixel centres). Between nodes a
    and b a value is a + t (b - a) in float64, first along x, then along y; every operation is rounded by itself.

    Attributes:
        nodes: (rows, columns) float64, see :func:`to_nodes`.
        step_y: Distance of the nodes down the field.
        step_x: Distance of the nodes along the field.
    """

    nodes: Floats
    step_y: float
    step_x: float
    _cells: dict[int, tuple[tuple[int, int], Floats]] = field(default_factory=dict, repr=False)

    @cached_property
    def greatest(self) -> float:
        """The greatest magnitude of the field."""
        return float(np.abs(self.nodes).max())

    def mapped(self, factor: float, summand: float) -> NodeGrid:
        """Return the field with every node v at ``factor v + summand``."""
        return NodeGrid(self.nodes * factor + summand, self.step_y, self.step_x)

    def strips(self, y: Floats, x: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield the field where rows and columns cross, in strips of whole rows that fit into a cache.

        Args:
            y: Rows, from the field's corner, increasing.
            x: Columns, from the field's corner.

        Yields:
            Some of the rows, and their values, shape (rows, len(x)); the strips are the same for all fields of these steps.
        """
        column, right, t = _place(x, self.step_x, self.nodes.shape[1])
        row, below, u = _place(y, self.step_y, self.nodes.shape[0])
        first_node = int(row[0])
        used = self.nodes[first_node : int(below[-1]) + 1]
        lines = used[:, column]
        lines += t * (used[:, right] - lines)
        for first, last in pairwise([0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(y)]):
            above, under = lines[row[first] - first_node], lines[below[first] - first_node]
            slope = under - above
            for top in range(first, last, _STRIP):
                rows = slice(top, min(top + _STRIP, last))
                values = u[rows, None] * slope
                values += above
                yield rows, values

    def at(self, y: Floats, x: Floats, *, corner: float, margin: int) -> Floats:
        """Return the field at points, in the shape of ``y`` and ``x``.

        Value = a + (b - a) t + u ((c - a) + ((d - c) - (b - a)) t) for the nodes a, b above and c, d below, t along x, u along y.

        Args:
            y: Points down the field.
            x: Points along the field.
            corner: Where the field begins, along both axes.
            margin: Distance beyond the field's border that no point exceeds.
        """
        (rows, columns), cells = self._padded(margin)
        t = x * (1.0 / self.step_x)
        t += columns - 0.5 - corner * (1.0 / self.step_x)
        u = y * (1.0 / self.step_y)
        u += rows - 0.5 - corner * (1.0 / self.step_y)
        row = np.floor(u)
        u -= row
        column = np.floor(t)
        t -= column
        row *= float(self.nodes.shape[1] + 2 * columns - 1)
        row += column
        number = row.astype(np.intp)
        low, across, down, both = cells
        slope = both.take(number, mode="wrap")
        slope *= t
        slope += down.take(number, mode="wrap")
        slope *= u
        value = across.take(number, mode="wrap")
        value *= t
        value += low.take(number, mode="wrap")
        value += slope
        return value

    def _padded(self, margin: int) -> tuple[tuple[int, int], Floats]:
        """Return how many nodes were put around the field, and the coefficients of the cells between nodes, shape (4, cells)."""
        if margin not in self._cells:
            around = int(margin // self.step_y) + 2, int(margin // self.step_x) + 2
            down, across = (
                np.minimum(np.maximum(np.arange(-count, size + count), 0), size - 1)
                for count, size in zip(around, self.nodes.shape, strict=True)
            )
            nodes = self.nodes[down[:, None], across]
            a, b, c, d = nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]
            self._cells[margin] = around, np.stack([a, b - a, c - a, (d - c) - (b - a)]).reshape(4, -1)
        return self._cells[margin]


def _place(position: Floats, step: float, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return the nodes before and after each position, and how far it is between them."""
    t = np.clip(position / step - 0.5, 0.0, count - 1.0)
    first = np.minimum(np.floor(t).astype(np.intp), max(count - 2, 0))
    return first, np.minimum(first + 1, count - 1), t - first
