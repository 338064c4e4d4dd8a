"""Cells as figures: coloured parts on top of each other, and where they lie on an image."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from miso_gen.geometry import Box
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveFloat, UnitInterval, drawn
from miso_gen.recipe.plugins import Cell
from miso_gen.scene.shapes import Ellipse, Frame, Pose, Ray, Shape, Slab, Wobble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miso_gen.rng import Stream

Edges = Literal["soft", "hard"]
Colour = tuple[float, float, float]  #: red, green, blue in [0, 1]
Cover = tuple[Box, "NDArray[np.uint16]"]  #: weights of a part in a box, (h, w), 0 .. 256
FULL = 256  #: weight of a part that covers a pixel


@dataclass(frozen=True)
class Part:
    """A coloured part of a cell.

    Attributes:
        name: ``rim``, ``inner``, ``bar``, ``tail`` ...
        shapes: Where it is: in any of them.
        colour: Its colour.
        level: Truth level of its pixels: 2 where it tells the cell's type from others, else 1.
    """

    name: str
    shapes: tuple[Shape, ...]
    colour: Colour
    level: int


class DrawnCell(Cell):
    """A cell that can be drawn. Source: Tjoa & Guan, synthetic cells."""

    number: ClassVar[int]  #: the number that the paper gives the type
    draws: ClassVar[frozenset[str]]  #: what it shows, by names that types share exactly if they show the same
    tells: ClassVar[frozenset[str]]  #: what of it tells its type
    fields: ClassVar[int] = 3  #: how many noise fields move its outlines: 1, or 3 where parts are rays
    orbits: ClassVar[bool] = False  #: whether its displacement on the canvas turns with it, as published for rectangles
    least_share: ClassVar[str | None] = None  #: field that says what share of the image its discriminative part must cover

    rotation_deg: float = drawn(uniform=(-60.0, 60.0))
    """Rotation in degrees, counter-clockwise as displayed."""

    noise_px: NonNegativeFloat = drawn(uniform=(6.0, 12.0))
    """Standard deviation of the smooth noise that makes outlines wobble."""

    roughness_px: Annotated[float, Field(ge=2, le=512)] = drawn(uniform=(31.0, 64.0))
    """Distance of the nodes of the noise; int(512 / roughness) of them span 512 px about the cell."""

    @property
    def numbers(self) -> dict[str, float]:
        """Its numbers by name."""
        return {name: float(value) for name, value in self.to_spec().items() if isinstance(value, int | float)}

    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """Return the parts, bottom to top; the first contains the whole cell unless parts stick out of it."""

    def half(self, length: float) -> float:
        r"""Return the half width of what the published raster makes of \|x\| <= length along an axis of the cell.

        It tests whole pixels. Without noise these are the floor(length) on either side and the one between: floor(length) + 1/2.
        Noise moves them off the grid, and the length is the length.
        """
        return float(np.floor(length)) + 0.5 if self.noise_px == 0.0 else length

    def figure(self, stream: Stream) -> Figure:
        """Return the cell with its noise, which is drawn from ``stream``."""
        return Figure(self.parts(), Wobble.drawn(stream, self.fields, self.noise_px, self.roughness_px))


class EllipticCell(DrawnCell):
    """An ellipse with a border."""

    radius_px: PositiveFloat = drawn(uniform=(90.0, 110.0))
    """Half of the width."""

    border_px: PositiveFloat = drawn(uniform=(10.0, 30.0))
    """Thickness of the border, inside of the radius."""

    stretch: PositiveFloat = drawn(uniform=(0.5, 1.5))
    """Height over width."""

    border_red: UnitInterval = drawn(uniform=(0.5, 0.9))
    """Red of the border."""

    border_green: UnitInterval = drawn(uniform=(0.5, 0.9))
    """Green of the border."""

    border_blue: UnitInterval = drawn(uniform=(0.5, 0.9))
    """Blue of the border."""

    inner_red: UnitInterval = drawn(uniform=(0.1, 0.3))
    """Red inside."""

    inner_green: UnitInterval = drawn(uniform=(0.1, 0.3))
    """Green inside."""

    inner_blue: UnitInterval = drawn(uniform=(0.3, 0.5))
    """Blue inside."""

    @property
    def border(self) -> Colour:
        """Colour of the border."""
        return self.border_red, self.border_green, self.border_blue

    def body(self, level: int) -> tuple[Part, ...]:
        """Return border and inside; ``level`` is the truth of the border."""
        inner = (self.inner_red, self.inner_green, self.inner_blue)
        rim = Part("rim", (Ellipse(self.radius_px, self.stretch),), self.border, level)
        if self.border_px >= self.radius_px:
            return (rim,)
        return rim, Part("inner", (Ellipse(self.radius_px - self.border_px, self.stretch),), inner, 1)


class TailedCell(EllipticCell):
    """An ellipse with tails."""

    angles_deg: ClassVar[tuple[float, ...]]  #: directions of the tails, 0 pointing down

    tail_px: PositiveFloat = drawn(uniform=(10.0, 30.0))
    """Thickness of the tails."""

    tail_start: NonNegativeFloat = 0.8
    """Where tails begin, from the centre, over half the height of the ellipse."""

    tail_ratio: PositiveFloat = 1.5
    """Where tails end, from the centre, over half the height of the ellipse; the border's thickness is added."""

    tail_shade: UnitInterval = 0.75
    """Colour of the tails over that of the border."""

    def parts(self) -> tuple[Part, ...]:
        """See :class:`DrawnCell`."""
        half_height = self.stretch * self.radius_px
        near, far = self.tail_start * half_height, self.tail_ratio * half_height + self.border_px
        rays = tuple(self._tail(angle, near, far) for angle in self.angles_deg)
        red, green, blue = (self.tail_shade * channel for channel in self.border)
        return (*self.body(1), Part("tail", rays, (red, green, blue), 2))

    def _tail(self, angle: float, near: float, far: float) -> Ray:
        if angle % 90.0 == 0.0:  # along an axis of the cell
            return Ray.turned(angle, self.half(0.5 * self.tail_px), -self.half(-near), self.half(far))
        return Ray.turned(angle, 0.5 * self.tail_px, near, far)


class RectangularCell(DrawnCell):
    """A rectangle with a border whose colour tells its type."""

    fields: ClassVar[int] = 1
    orbits: ClassVar[bool] = True

    width_px: PositiveFloat = drawn(uniform=(100.0, 200.0))
    """Width."""

    height_px: PositiveFloat = drawn(uniform=(100.0, 200.0))
    """Height."""

    border_px: PositiveFloat = drawn(uniform=(10.0, 30.0))
    """Thickness of the border, inside of the rectangle."""

    border_red: UnitInterval = drawn(uniform=(0.0, 0.2))
    """Red of the border."""

    border_green: UnitInterval = drawn(uniform=(0.0, 0.2))
    """Green of the border."""

    border_blue: UnitInterval = drawn(uniform=(0.0, 0.2))
    """Blue of the border."""

    inner_red: UnitInterval = drawn(uniform=(0.1, 0.3))
    """Red inside."""

    inner_green: UnitInterval = drawn(uniform=(0.1, 0.3))
    """Green inside."""

    inner_blue: UnitInterval = drawn(uniform=(0.3, 0.5))
    """Blue inside."""

    def parts(self) -> tuple[Part, ...]:
        """See :class:`DrawnCell`."""
        across, down = float(np.floor(0.5 * self.width_px)), float(np.floor(0.5 * self.height_px))
        border = (self.border_red, self.border_green, self.border_blue)
        inner = (self.inner_red, self.inner_green, self.inner_blue)
        rim = Part("rim", (Slab(self.half(across), self.half(down)),), border, 2)
        if self.border_px > min(across, down):
            return (rim,)
        hole = Slab(self.half(across - self.border_px), self.half(down - self.border_px))
        return rim, Part("inner", (hole,), inner, 1)


@dataclass(frozen=True, eq=False)
class Figure:
    """A cell with all its numbers, in its own frame.

    Attributes:
        parts: Bottom to top.
        wobble: Its noise.
    """

    parts: tuple[Part, ...]
    wobble: Wobble

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Colours of the parts."""
        return tuple(part.colour for part in self.parts)

    @cached_property
    def reach(self) -> float:
        """A bound of the distance of its points from its centre, in units of its frame; 0 where it has no parts."""
        return max((shape.reach(self.wobble) for part in self.parts for shape in part.shapes), default=0.0)

    def area(self, scale: float) -> float:
        """Return its area in units of its frame, counted on pixels of 1 / ``scale`` units."""
        pose = Pose(0.5, 0.5, 1.0, 0.0, scale)
        stamp = self.stamp(self.bounds(pose), pose, "hard")
        return int(np.count_nonzero(stamp.codes)) / (scale * scale)

    def bounds(self, pose: Pose) -> Box:
        """Return a box that holds every pixel it touches; parts of it may lie beyond the image."""
        return _around([self._box(shape, pose) for part in self.parts for shape in part.shapes])

    def _box(self, shape: Shape, pose: Pose) -> Box:
        cos, sin, scale = pose.cos, pose.sin, pose.scale
        rim = 0.5 / scale  # soft edges fade to half a pixel outside
        up, down = (scale * shape.extent(-sign * sin, sign * cos, self.wobble, rim) for sign in (-1.0, 1.0))
        left, right = (scale * shape.extent(sign * cos, sign * sin, self.wobble, rim) for sign in (-1.0, 1.0))
        return Box(
            floor(pose.row - up) - 1, floor(pose.column - left) - 1, ceil(pose.row + down) + 1, ceil(pose.column + right) + 1
        )

    def stamp(self, box: Box, pose: Pose, edges: Edges) -> Stamp:
        """Return what the cell is in a box of the image."""
        frames: dict[Any, tuple[Box, Frame]] = {}
        codes, covers = np.zeros(box.shape, np.uint8), []
        for number, part in enumerate(self.parts, 1):
            depths = []
            for shape in part.shapes:
                key = shape.family or shape
                if key not in frames:  # the lowest of a family holds the others
                    inside = self._box(shape, pose).intersection(box)
                    frames[key] = inside, Frame(inside, pose, self.wobble, self.reach)
                inside, frame = frames[key]
                if not inside.empty:
                    depths.append((inside, shape.depth(frame)))
            shares = []
            for inside, depth in depths:
                held = (depth >= 0.0).view(np.uint8)
                shares.append((inside, _soft(depth, pose.scale) if edges == "soft" else held * np.uint16(FULL)))
                code = codes[inside.within(box)]
                held *= np.uint8(number)
                np.maximum(code, held, out=code)
            covers.append(_together(shares, Box(box.top, box.left, box.top, box.left)))
        return Stamp(box, codes, tuple(covers))


def _around(boxes: Sequence[Box]) -> Box:
    """Return the smallest box that holds all of them."""
    return Box(
        min(box.top for box in boxes),
        min(box.left for box in boxes),
        max(box.bottom for box in boxes),
        max(box.right for box in boxes),
    )


def _together(shares: Sequence[Cover], nowhere: Box) -> Cover:
    """Return the greatest weight of several shapes, in the smallest box that holds them."""
    if len(shares) == 1:
        return shares[0]
    around = _around([inside for inside, _ in shares]) if shares else nowhere
    weight = np.zeros(around.shape, np.uint16)
    for inside, share in shares:
        place = weight[inside.within(around)]
        np.maximum(place, share, out=place)
    return around, weight


def _soft(depth: NDArray[np.float64], scale: float) -> NDArray[np.uint16]:
    """Return the weight of a part by its depth: floor(256 (d + 1/2)), d in pixels, cut at both ends; ``depth`` is used up."""
    depth *= FULL * scale
    depth += 0.5 * FULL
    np.maximum(depth, 0.0, out=depth)
    np.minimum(depth, float(FULL), out=depth)
    return depth.astype(np.uint16)


@dataclass(frozen=True, eq=False)
class Stamp:
    """A cell in a box of pixels.

    Attributes:
        box: The box on the image.
        codes: (h, w) uint8, number of the uppermost part that holds the pixel's centre, from 1; 0 where none does.
        covers: For each part the box that it may touch and its weights there, (h, w) uint16, 0 .. 256: how much of what is
            below it hides.
    """

    box: Box
    codes: NDArray[np.uint8]
    covers: tuple[Cover, ...]

    def crop(self, box: Box) -> Stamp:
        """Return a part of it."""
        if box == self.box:
            return self
        covers = []
        for around, weight in self.covers:
            part = around.intersection(box)
            covers.append((part, weight[part.within(around)]))
        return Stamp(box, self.codes[box.within(self.box)], tuple(covers))
