"""Where the nuclei of two patterns of tissue lie: acini around lumina, and solid nests, in a stroma.

Acini are rows of columnar nuclei along an outline, around nothing. Nests have one such row, the palisade, around a sheet of cells
without order; some hold a pearl, rings of flat nuclei around an empty centre. A pattern yields places in abundance;
:func:`filled` takes a number of them, structure by structure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.rng import Stream
from miso_gen.scene.lattice import NodeGrid, to_nodes
from miso_gen.scene.outlines import DIRECTIONS, Outlines, turns_of
from miso_gen.scene.places import PALISADE, PEARL, Places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

_RIM_PX = 1.5  #: between an outline and the tips of the nuclei along it
_RINGS = 3  #: of a pearl
_RING_PX = 3.0  #: between the rings of a pearl
_ROUNDS = 24


@dataclass(frozen=True)
class Ground:
    """A canvas and the sizes of what lies on it.

    Attributes:
        height: Rows.
        width: Columns.
        major_px: Half of the long axis of a typical tumour nucleus.
        minor_px: Half of its short axis.
        column_px: Distance of columnar nuclei along a border.
        sheet_px: Distance of nuclei inside a nest.
        spread_deg: Standard deviation of the direction of a nucleus about that of its place.
    """

    height: int
    width: int
    major_px: float
    minor_px: float
    column_px: float
    sheet_px: float
    spread_deg: float

    def row(
        self, outlines: Outlines, stream: Stream, depth_px: float, pitch_px: float, *, jitter_px: float, zone: int = PALISADE
    ) -> Places:
        """Return a row of places below each outline; rings of a pearl lie on it, and along it.

        Draws come from branches 0 to 3 of the stream.
        """
        flat = zone == PEARL
        outline, y, x, inward = outlines.row(depth_px, pitch_px, stream.at(0).uniforms(len(outlines)))
        count = len(y)
        deeper = jitter_px * stream.at(1).normals(count)
        aside = 0.08 * pitch_px * stream.at(2).normals(count)
        dy, dx = sin_turns(inward), cos_turns(inward)
        turns = inward + stream.at(3).normals(count) * (self.spread_deg / 360.0) + (0.25 if flat else 0.0)
        y, x = y + deeper * dy + aside * dx, x + deeper * dx - aside * dy
        places = Places.loose(y, x, turns, outline, zone)
        if not flat:  # not across a narrow part
            distance, radius, _ = outlines.seen(outline, y, x)
            places = places.chosen(radius - distance > 0.6 * depth_px)
        return places.on_canvas(self.height, self.width)


@dataclass(frozen=True)
class Pattern(ABC):
    """How tumour cells lie in a structure.

    Attributes:
        ground: The canvas.
    """

    ground: Ground
    stretch: ClassVar[float]  #: greatest ratio of the axes of an outline
    lobes: ClassVar[tuple[float, ...]]  #: see :meth:`Outlines.drawn`

    @property
    def void_share(self) -> float:
        """Radius of the part of a structure where no nucleus has its centre, in radii of the outline."""
        return 0.0

    @abstractmethod
    def places(self, outlines: Outlines, numbers: Indices, stream: Stream, slack: float) -> Places:
        """Return places on the canvas.

        Args:
            outlines: The structures.
            numbers: (n,) their numbers: what is drawn for a structure as a whole follows its number.
            stream: Where draws come from: an address of its own for each row and sheet, and branch 0.
            slack: What distances are multiplied by.
        """


@dataclass(frozen=True)
class Acini(Pattern):
    """Glands: one or more rows of nuclei around a lumen.

    Attributes:
        lumen_share: Radius of the part that holds no centre of a nucleus, in radii of the outline.
        layers: Least and greatest number of rows; small glands have one.
    """

    lumen_share: float
    layers: tuple[int, int]
    stretch: ClassVar[float] = 2.4
    lobes: ClassVar[tuple[float, ...]] = (0.12, 0.3, 0.2, 0.1)

    @property
    def void_share(self) -> float:
        """See :class:`Pattern`."""
        return self.lumen_share

    def places(self, outlines: Outlines, numbers: Indices, stream: Stream, slack: float) -> Places:
        """See :class:`Pattern`."""
        ground = self.ground
        least, most = self.layers
        layers = least + np.floor(_own(stream, numbers) * (most - least + 1)).astype(np.int64)
        parts = []
        for layer in range(most):
            depth = ground.major_px + _RIM_PX + layer * 1.75 * ground.major_px
            pitch = ground.column_px * slack * (1.0 + 0.15 * layer)
            roomy = outlines.radii.min(axis=1) > 1.7 * depth if layer else np.ones(len(outlines), np.bool_)
            mine = np.flatnonzero((layers > layer) & roomy)
            own = Stream(*stream.address, "row", layer)
            row = ground.row(outlines.chosen(mine), own, depth, pitch, jitter_px=0.16 * ground.major_px)
            parts.append(row.numbered(mine, layer))
        places = Places.joined(*parts)
        distance, radius, _ = outlines.seen(places.outline, places.y, places.x)
        places = places.chosen(distance - 0.8 * ground.major_px > self.lumen_share * radius)
        return places.uncrowded(ground.major_px, ground.minor_px, 0.6 * ground.minor_px).numbered(numbers)


@dataclass(frozen=True)
class Nests(Pattern):
    """Solid sheets of cells with a palisade, some around a pearl.

    Attributes:
        pearl_chance: Chance that a nest with room for it holds a pearl.
        pearl_px: Radius of the empty centre of a pearl.
    """

    pearl_chance: float
    pearl_px: float
    stretch: ClassVar[float] = 2.0
    lobes: ClassVar[tuple[float, ...]] = (0.15, 0.32, 0.32, 0.3, 0.24)

    def places(self, outlines: Outlines, numbers: Indices, stream: Stream, slack: float) -> Places:
        """See :class:`Pattern`."""
        ground = self.ground
        palisade = ground.row(
            outlines,
            Stream(*stream.address, "row", 0),
            ground.major_px + _RIM_PX,
            ground.column_px * slack,
            jitter_px=0.12 * ground.major_px,
        )
        parts = [palisade.numbered(np.arange(len(outlines)), 0)]
        ring_px = 2.0 * ground.minor_px + _RING_PX
        reach = self.pearl_px + _RINGS * ring_px
        roomy = outlines.radii.min(axis=1) > reach + 2.0 * (ground.major_px + _RIM_PX)
        has = roomy & (_own(stream, numbers) < self.pearl_chance)
        pearls = np.flatnonzero(has)
        for ring in range(_RINGS):
            circles = outlines.chosen(pearls).circles(self.pearl_px + ground.minor_px + ring * ring_px)
            own = Stream(*stream.address, "row", 1 + ring)
            row = ground.row(circles, own, 0.0, (2.0 * ground.major_px + 4.0) * slack, jitter_px=1.0, zone=PEARL)
            parts.append(row.numbered(pearls, 1 + ring))
        rows = Places.joined(*parts).uncrowded(ground.major_px, ground.minor_px, 0.6 * ground.minor_px)
        sheet = self._sheet(outlines, np.where(has, reach + 0.25 * ground.sheet_px, 0.0), Stream(*stream.address, "sheet"), slack)
        return Places.joined(rows, sheet).numbered(numbers)

    def _sheet(self, outlines: Outlines, empty: Floats, stream: Stream, slack: float) -> Places:
        """Return places inside of the palisades and outside of the pearls: a triangular grid, shaken."""
        ground = self.ground
        pitch = ground.sheet_px * slack
        down = pitch * 0.8660254037844386
        rows, columns = int(ground.height / down) + 3, int(ground.width / pitch) + 3
        row, column = np.divmod(np.arange(rows * columns), columns)
        count = len(row)
        y = (row - 1.0 + 0.62 * (stream.at(0).uniforms(count) - 0.5)) * down
        x = (column - 1.0 + 0.5 * (row % 2) + 0.62 * (stream.at(1).uniforms(count) - 0.5)) * pitch
        loose = Places.loose(y, x, stream.at(2).uniforms(count), np.zeros(count, np.int64))
        places = loose.on_canvas(ground.height, ground.width)
        outline, way, _ = outlines.nearest(places.y, places.x, 0.0)
        inside = np.flatnonzero(way < -(2.0 * ground.major_px + 0.3 * ground.sheet_px))
        places, outline = places.chosen(inside), outline[inside]
        distance, _, _ = outlines.seen(outline, places.y, places.x)
        kept = distance > empty[outline]
        return Places.loose(places.y[kept], places.x[kept], places.turns[kept], outline[kept])


def _own(stream: Stream, numbers: Indices) -> Floats:
    """Return a uniform draw for each number, whatever the others are; branch 0."""
    return stream.at(0).uniforms(int(numbers.max(initial=-1)) + 1)[numbers]


def filled(pattern: Pattern, outlines: Outlines, stream: Stream, count: int) -> Places | None:
    """Return exactly ``count`` places of structures that are filled one after another; None where there is no room.

    Outlines come in random order until they hold enough; the last one is that which leaves the least over. Then distances grow
    until little is left over; that goes where it is tightest, and rows close their gaps.
    """
    everyone = np.arange(len(outlines))
    best = pattern.places(outlines, everyone, stream, 1.0)
    capacity = np.bincount(best.outline, minlength=len(outlines))
    order = np.argsort(stream.at(1).raw(len(outlines)), kind="stable")
    order = order[capacity[order] > 0]
    total = np.cumsum(capacity[order])
    enough = int(np.searchsorted(total, count))
    if enough == len(order):
        return None
    missing = count - (int(total[enough - 1]) if enough else 0)
    fitting = order[enough:][capacity[order[enough:]] >= missing]
    taken = np.sort(np.append(order[:enough], fitting[np.argmin(capacity[fitting])]))
    best, slack = best.chosen(np.isin(best.outline, taken)), 1.0
    for _ in range(4):
        if len(best) <= count + count // 64:
            break
        slack *= 1.0 + 0.5 * (len(best) / count - 1.0)
        places = pattern.places(outlines.chosen(taken), taken, stream, slack)
        if len(places) < count:
            break
        best = places
    ground = pattern.ground
    near = 2.0 * ground.major_px + ground.sheet_px
    best = best.roomiest(ground.major_px, ground.minor_px, near, count)
    evened = best.evened(ground.column_px, _ROUNDS)
    distance, radius, _ = outlines.seen(evened.outline, evened.y, evened.x)
    kept = (distance >= pattern.void_share * radius) & evened.inside(ground.height, ground.width)
    return replace(evened, y=np.where(kept, evened.y, best.y), x=np.where(kept, evened.x, best.x))


def smooth(stream: Stream, height: int, width: int, step_px: float) -> NodeGrid:
    """Return a smooth field of standard normal draws over a canvas, from branch 1 of a stream."""
    rows, columns = int(height / step_px) + 2, int(width / step_px) + 2
    return NodeGrid(to_nodes(stream.at(1).normals(rows * columns)).reshape(rows, columns), step_px, step_px)


@dataclass(frozen=True)
class Stroma:
    """The cells between structures: they follow a smooth flow and, near an outline, this.

    Attributes:
        ground: The canvas.
        flow: Its directions, in turns.
        gap_px: No centre is nearer to an outline than this and half a short axis.
        follow_px: Where outlines begin to turn the flow.
        major_px: Half of the long axis of a typical nucleus.
        minor_px: Half of its short axis.
    """

    ground: Ground
    flow: NodeGrid
    gap_px: float
    follow_px: float
    major_px: float
    minor_px: float

    def places(self, outlines: Outlines, stream: Stream, count: int) -> Places | None:
        """Return exactly ``count`` places outside of the outlines, spread as evenly as they can be; None: no room."""
        ground = self.ground
        tries = 64 + 6 * count
        y = 0.5 + stream.at(0).uniforms(tries) * (ground.height - 1.0)
        x = 0.5 + stream.at(1).uniforms(tries) * (ground.width - 1.0)
        turns = self.flow.at(y, x, corner=0.0, margin=0) + stream.at(2).normals(tries) * (1.5 * ground.spread_deg / 360.0)
        outline, way, direction = outlines.nearest(y, x, self.gap_px + self.minor_px + self.follow_px)
        free = np.flatnonzero(way > self.gap_px + self.minor_px)
        y, x = y[free], x[free]
        turns = self._turned(outlines, turns[free], outline[free], way[free], direction[free])
        places = Places.loose(y, x, turns, np.full(len(y), -1))
        for scale in (2.0, 1.7, 1.45, 1.25, 1.1, 1.0):
            major, minor = self.major_px * 0.5 * (1.0 + scale), self.minor_px * scale * scale
            spread = places.uncrowded(major, minor, 0.5 * self.minor_px)
            if len(spread) >= count:
                return spread.chosen(np.arange(count))
        return None

    def _turned(self, outlines: Outlines, turns: Floats, outline: Indices, way: Floats, direction: Floats) -> Floats:
        """Return the directions of the flow, turned along outlines: all of the way at these, not at all ``follow_px`` away."""
        if not len(outlines):
            return turns
        dy, dx = sin_turns(turns), cos_turns(turns)
        (ny, nx), k = outlines.normals, np.floor(direction * DIRECTIONS).astype(np.int64) % DIRECTIONS
        ty, tx = nx[outline, k], -ny[outline, k]
        sign = np.where(ty * dy + tx * dx < 0.0, -1.0, 1.0)
        share = 1.0 - np.minimum(way / self.follow_px, 1.0)
        share = share * (2.0 - share)
        return turns_of(dy + share * (sign * ty - dy), dx + share * (sign * tx - dx))
