"""Shapes with wobbling outlines: how deep each pixel centre lies inside, computed from coordinates.

A cell is drawn in a frame of its own: origin at its centre, x to the right, y down, in the lengths of its parameters. The frame
is turned, scaled and moved onto the image by transforming the coordinates of pixel centres, never by resampling pixels. An
outline wobbles because smooth noise is added to distances or coordinates before they are compared. Source: Tjoa & Guan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.scene.lattice import NodeGrid, centres, to_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.rng import Stream

    Floats = NDArray[np.float64]

NOISE_SPAN = 512  #: side of a cell's noise fields, centred on the cell, in the lengths of its parameters
_NOISE_BRANCH = 1 << 16


@dataclass(frozen=True)
class Wobble:
    """The smooth noise of one cell: independent fields of normal draws, number 0, 1, 2.

    Attributes:
        fields: The fields, (n, n) nodes each; none where the amplitude is 0.
    """

    fields: tuple[NodeGrid, ...]

    @classmethod
    def drawn(cls, stream: Stream, count: int, amplitude: float, roughness: float) -> Wobble:
        """Return ``count`` fields of int(512 / roughness) nodes a side, of mean 0 and standard deviation ``amplitude``.

        Source: Tjoa & Guan (d_noise and its grid).
        """
        if amplitude == 0.0:
            return cls(())
        side = int(NOISE_SPAN / roughness)
        step = NOISE_SPAN / side
        grids = []
        for number in range(count):
            normals = stream.at(_NOISE_BRANCH + number).normals(side * side).reshape(side, side)
            grids.append(NodeGrid(to_nodes(amplitude * normals), step, step))
        return cls(tuple(grids))

    def greatest(self, number: int) -> float:
        """The greatest magnitude of a field."""
        return self.fields[number].greatest if self.fields else 0.0


@dataclass(frozen=True)
class Pose:
    """Where a cell's frame lies on the image.

    Attributes:
        row: Centre in pixels from the image's upper border, not rounded.
        column: Centre in pixels from the image's left border.
        cos: Cosine of the rotation, counter-clockwise as displayed.
        sin: Its sine.
        scale: Pixels for one unit of the frame.
    """

    row: float
    column: float
    cos: float
    sin: float
    scale: float = 1.0

    @classmethod
    def turned(cls, row: float, column: float, rotation_deg: float, scale: float = 1.0) -> Pose:
        """Return the pose of a rotation in degrees."""
        turns = rotation_deg * (1.0 / 360.0)
        return cls(row, column, float(cos_turns(turns)), float(sin_turns(turns)), scale)


class Frame:
    """The pixel centres of a box in the frame of a cell. What several parts need is computed once."""

    def __init__(self, box: Box, pose: Pose, wobble: Wobble, reach: float) -> None:
        unit = 1.0 / pose.scale
        right = (centres(box.left, box.right) - pose.column) * unit
        down = ((centres(box.top, box.bottom) - pose.row) * unit)[:, None]
        self.x = right * pose.cos - down * pose.sin  #: (h, w), along the cell
        self.y = right * pose.sin + down * pose.cos  #: (h, w), down the cell
        self.wobble = wobble
        self._margin = max(0, int(2.0 * reach) + 64 - NOISE_SPAN // 2)
        self._radial: dict[float, Floats] = {}

    def noise(self, number: int) -> Floats:
        """Return a noise field at the pixel centres, (h, w)."""
        return self.wobble.fields[number].at(self.y, self.x, corner=-0.5 * NOISE_SPAN, margin=self._margin)

    def radial(self, stretch: float) -> Floats:
        """Return sqrt(x^2 + (y / stretch)^2) plus noise 0, (h, w); not to be changed."""
        if stretch not in self._radial:
            squared = self.y * (1.0 / stretch)
            squared *= squared
            squared += self.x * self.x
            distance = np.sqrt(squared, out=squared)
            if self.wobble.fields:
                distance += self.noise(0)
            self._radial[stretch] = distance
        return self._radial[stretch]

    @cached_property
    def shifted(self) -> tuple[Floats, Floats]:
        """The coordinates x plus noise 1 and y plus noise 2, (h, w) each; not to be changed."""
        if not self.wobble.fields:
            return self.x, self.y
        return self.x + self.noise(1), self.y + self.noise(2)

    @cached_property
    def slid(self) -> tuple[Floats, Floats]:
        """Magnitudes of x plus noise 0 and y plus noise 0, (h, w) each; not to be changed."""
        if not self.wobble.fields:
            return np.abs(self.x), np.abs(self.y)
        y = self.noise(0)
        x = self.x + y
        y += self.y
        return np.abs(x, out=x), np.abs(y, out=y)


class Shape(Protocol):
    """A part of the plane of a cell."""

    @property
    def family(self) -> str:
        """Shapes of one family ask a frame for the same things, and the lowest holds the others; empty: one on its own."""

    def depth(self, frame: Frame) -> Floats:
        """Return how far inside the pixel centres lie, (h, w), in units of the frame; negative outside."""

    def extent(self, dx: float, dy: float, wobble: Wobble, rim: float) -> float:
        """Return a bound of x dx + y dy over points of depth >= -``rim``, wherever the noise moves them; (dx, dy) of length 1."""

    def reach(self, wobble: Wobble) -> float:
        """Return a bound of the distance from the origin over the shape."""


@dataclass(frozen=True)
class Ellipse:
    """Points with sqrt(x^2 + (y / stretch)^2) + n <= radius."""

    radius: float
    stretch: float

    family: ClassVar[str] = "ellipse"

    def depth(self, frame: Frame) -> Floats:
        """See :class:`Shape`."""
        return self.radius - frame.radial(self.stretch)

    def extent(self, dx: float, dy: float, wobble: Wobble, rim: float) -> float:
        """See :class:`Shape`."""
        return (self.radius + rim + wobble.greatest(0)) * _length(dx, dy * self.stretch)

    def reach(self, wobble: Wobble) -> float:
        """See :class:`Shape`."""
        return (self.radius + wobble.greatest(0)) * max(1.0, self.stretch)


@dataclass(frozen=True)
class Slab:
    """Points with |x + n| <= half_x and |y + n| <= half_y, one noise for both: a rectangle."""

    half_x: float
    half_y: float

    family: ClassVar[str] = "slab"

    def depth(self, frame: Frame) -> Floats:
        """See :class:`Shape`."""
        x, y = frame.slid
        return _least(self.half_x - x, self.half_y - y)

    def extent(self, dx: float, dy: float, wobble: Wobble, rim: float) -> float:
        """See :class:`Shape`."""
        return (self.half_x + rim) * abs(dx) + (self.half_y + rim) * abs(dy) + wobble.greatest(0) * abs(dx + dy)

    def reach(self, wobble: Wobble) -> float:
        """See :class:`Shape`."""
        return _length(self.half_x + wobble.greatest(0), self.half_y + wobble.greatest(0))


@dataclass(frozen=True)
class Ray:
    """A band that leaves the centre at an angle: |u| <= half and near <= v <= far, along (u) and out (v).

    u = cos x' - sin y', v = sin x' + cos y', with x' = x + n1, y' = y + n2. A bar is a ray from -far to far.
    """

    cos: float
    sin: float
    half: float
    near: float
    far: float

    family: ClassVar[str] = ""

    @classmethod
    def turned(cls, angle_deg: float, half: float, near: float, far: float) -> Ray:
        """Return the ray at an angle in degrees, 0 pointing down."""
        turns = angle_deg * (1.0 / 360.0)
        return cls(float(cos_turns(turns)), float(sin_turns(turns)), half, near, far)

    def depth(self, frame: Frame) -> Floats:
        """See :class:`Shape`."""
        x, y = frame.shifted
        across = self.cos * x
        across -= self.sin * y
        out = self.sin * x
        out += self.cos * y
        out -= 0.5 * (self.near + self.far)
        return _least(self.half - np.abs(across, out=across), 0.5 * (self.far - self.near) - np.abs(out, out=out))

    def extent(self, dx: float, dy: float, wobble: Wobble, rim: float) -> float:
        """See :class:`Shape`."""
        across = (self.half + rim) * abs(self.cos * dx - self.sin * dy)
        out = self.sin * dx + self.cos * dy
        moved = wobble.greatest(1) * abs(dx) + wobble.greatest(2) * abs(dy) if wobble.fields else 0.0
        return across + max((self.near - rim) * out, (self.far + rim) * out) + moved

    def reach(self, wobble: Wobble) -> float:
        """See :class:`Shape`."""
        moved = _length(wobble.greatest(1), wobble.greatest(2)) if wobble.fields else 0.0
        return _length(self.half, max(abs(self.near), abs(self.far))) + moved


def _least(first: Floats, second: Floats) -> Floats:
    return np.minimum(first, second, out=first)


def _length(x: float, y: float) -> float:
    return sqrt(x * x + y * y)  # not hypot: the C library decides its last bit
