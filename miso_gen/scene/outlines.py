"""Closed outlines of tissue structures: a radius for each direction from a centre.

Outlines begin as ellipses with lobes. Neighbours limit each other: none reaches beyond half the gap to the line where its
neighbour's ground begins (the power diagram of the circles), so that structures can lie back to back and never overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.scene.packing import first_come, near_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.rng import Stream

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

DIRECTIONS = 192  #: of the radii of an outline
_FINE = 4096  #: directions that an angle is read from
_LEAST_PX = 6.0
_ALMOST = 1.0 - 2.0**-20


@dataclass(frozen=True, eq=False)
class Outlines:
    """Closed outlines.

    Attributes:
        y: (n,) rows of the centres.
        x: (n,) their columns.
        size: (n,) their radii before neighbours and lobes, in pixels.
        radii: (n, DIRECTIONS) distance of the outline from its centre, in pixels; direction k is k / DIRECTIONS turns from the
            right downwards.
    """

    y: Floats
    x: Floats
    size: Floats
    radii: Floats

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def drawn(
        cls,
        stream: Stream,
        height: int,
        width: int,
        *,
        radius_px: tuple[float, float],
        gap_px: float,
        spacing: float,
        stretch: float,
        lobes: tuple[float, ...],
    ) -> Outlines:
        """Return random outlines that cover a canvas, and a rim around it, as densely as they can.

        Args:
            stream: Where they come from, branches 0 to 5.
            height: Rows of the canvas.
            width: Columns of the canvas.
            radius_px: Least and greatest size.
            gap_px: Least way between two outlines.
            spacing: Least distance of two centres, in sums of their sizes.
            stretch: The greatest ratio of the axes of the ellipses.
            lobes: Amplitudes of waves of 2, 3, 4 ... periods about the outline.
        """
        low, high = radius_px
        rim = 0.75 * high
        tall, wide = height + 2.0 * rim, width + 2.0 * rim
        count = 16 + int(1.6 * tall * wide / (low * low))
        y, x = stream.at(0).uniforms(count) * tall - rim, stream.at(1).uniforms(count) * wide - rim
        size = low + (high - low) * stream.at(2).uniforms(count)
        first, second = near_pairs(y, x, 2.0 * spacing * high)
        dy, dx, room = y[first] - y[second], x[first] - x[second], spacing * (size[first] + size[second])
        crowded = dy * dy + dx * dx < room * room
        stay = np.flatnonzero(first_come(count, first[crowded], second[crowded]))
        free = cls(y[stay], x[stay], size[stay], size[stay, None] * _forms(stream, len(stay), stretch, lobes))
        limited = free._limited(gap_px)
        large = (limited.mean >= 0.8 * low) & (limited.radii.min(axis=1) >= 0.45 * low)
        return free.chosen(np.flatnonzero(large))._limited(gap_px)  # the ground of what was left out is free

    def _limited(self, gap_px: float) -> Outlines:
        """Return the outlines, each within its own ground."""
        y, x, size = self.y, self.x, self.size
        bound = np.broadcast_to(2.5 * size[:, None], self.radii.shape).copy()
        one, two = near_pairs(y, x, 2.0 * float(self.radii.max(initial=0.0)) + gap_px)
        if len(one):
            mine, other = np.concatenate([one, two]), np.concatenate([two, one])
            order = np.argsort(mine, kind="stable")
            mine, other = mine[order], other[order]
            dy, dx = (y[other] - y[mine])[:, None], (x[other] - x[mine])[:, None]
            turns = np.arange(DIRECTIONS) / DIRECTIONS
            toward = dy * sin_turns(turns) + dx * cos_turns(turns)
            power = dy * dy + dx * dx + (size[mine] * size[mine] - size[other] * size[other])[:, None]
            far = np.where(toward > 0.0, power / (2.0 * np.where(toward > 0.0, toward, 1.0)) - 0.5 * gap_px, np.inf)
            starts = np.flatnonzero(np.concatenate([[True], mine[1:] != mine[:-1]]))
            bounded = mine[starts]
            bound[bounded] = np.minimum(bound[bounded], np.minimum.reduceat(far, starts, axis=0))
        bound = np.maximum(np.minimum(_softened(bound, (1, 2, 4, 8, 6, 3)), bound + 0.15 * gap_px), _LEAST_PX)
        radii = _softened(np.minimum(self.radii, bound), (4, 2, 1))
        return replace(self, radii=radii)

    def chosen(self, which: NDArray[np.intp]) -> Outlines:
        """Return some of the outlines."""
        return Outlines(self.y[which], self.x[which], self.size[which], self.radii[which])

    def circles(self, radius_px: float) -> Outlines:
        """Return circles about the centres."""
        return replace(self, radii=np.full_like(self.radii, radius_px))

    @cached_property
    def mean(self) -> Floats:
        """(n,) mean radius, in pixels."""
        return np.add.accumulate(self.radii, axis=1)[:, -1] / DIRECTIONS  # in turn: a sum in pairs depends on the machine

    @cached_property
    def points(self) -> tuple[Floats, Floats]:
        """Rows and columns of the outlines, (n, DIRECTIONS) each."""
        turns = np.arange(DIRECTIONS) / DIRECTIONS
        return self.y[:, None] + self.radii * sin_turns(turns), self.x[:, None] + self.radii * cos_turns(turns)

    @cached_property
    def normals(self) -> tuple[Floats, Floats]:
        """Rows and columns of the unit vectors that point inwards from :attr:`points`, (n, DIRECTIONS) each."""
        y, x = self.points
        ty, tx = (np.roll(v, -2, axis=1) - np.roll(v, 2, axis=1) for v in (y, x))
        length = np.sqrt(ty * ty + tx * tx)
        return tx / length, -ty / length

    def radius_at(self, which: Indices, turns: Floats) -> Floats:
        """Return the radius of outlines in directions, in pixels; shape of both arguments."""
        place = (turns - np.floor(turns)) * DIRECTIONS
        index = np.floor(place)
        share = place - index
        k = index.astype(np.int64) % DIRECTIONS
        low = self.radii[which, k]
        return low + (self.radii[which, (k + 1) % DIRECTIONS] - low) * share

    def seen(self, which: Indices, y: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return, for points (n,) and an outline each: distance from the centre, the radius there, the direction in turns."""
        dy, dx = y - self.y[which], x - self.x[which]
        turns = turns_of(dy, dx)
        return np.sqrt(dy * dy + dx * dx), self.radius_at(which, turns), turns

    def nearest(self, y: Floats, x: Floats, reach: float) -> tuple[Indices, Floats, Floats]:
        """Return, for points (n,), the outline that is nearest along its radius, how far it is, and the direction there.

        The distance is negative inside; where none is nearer than ``reach`` it is ``inf``, and the outline is 0.
        """
        count, least = len(y), len(self)
        number, way, direction = np.zeros(count, np.intp), np.full(count, np.inf), np.zeros(count)
        if not least or not count:
            return number, way, direction
        point, outline = _cross_pairs(y, x, self.y, self.x, float(self.radii.max()) + reach)
        distance, radius, turns = self.seen(outline, y[point], x[point])
        gap = distance - radius
        order = np.lexsort((outline, gap, point))
        point, outline, gap, turns = point[order], outline[order], gap[order], turns[order]
        leads = np.concatenate([[True], point[1:] != point[:-1]]) & (gap <= reach) if len(point) else np.zeros(0, np.bool_)
        number[point[leads]], way[point[leads]], direction[point[leads]] = outline[leads], gap[leads], turns[leads]
        return number, way, direction

    def row(self, depth_px: float, pitch_px: float, phase: Floats) -> tuple[Indices, Floats, Floats, Floats]:
        """Return evenly spaced places along the outlines, moved inwards: outline, row, column, inward direction in turns.

        Args:
            depth_px: How far inwards.
            pitch_px: Least distance of two places along the way.
            phase: (n,) where on its way each row begins, in [0, 1) places.
        """
        (py, px), (ny, nx) = self.points, self.normals
        y, x = py + depth_px * ny, px + depth_px * nx
        step_y, step_x = np.roll(y, -1, axis=1) - y, np.roll(x, -1, axis=1) - x
        step = np.sqrt(step_y * step_y + step_x * step_x)
        after = np.add.accumulate(step, axis=1)
        total = np.maximum(after[:, -1], 2.0**-20)
        count = np.floor(total / pitch_px).astype(np.int64)
        outline = np.repeat(np.arange(len(self)), count)
        place = np.arange(len(outline)) - np.repeat(np.cumsum(count) - count, count)
        share = (place + phase[outline]) / count[outline]
        # One sorted list of all ways, each from 0 to just below 1 above the number of its outline.
        keys = (after / total[:, None] * _ALMOST + np.arange(len(self))[:, None]).reshape(-1)
        at = np.minimum(np.searchsorted(keys, share * _ALMOST + outline, side="right"), outline * DIRECTIONS + DIRECTIONS - 1)
        k = at - outline * DIRECTIONS
        length = step[outline, k]
        t = (share * total[outline] - (after[outline, k] - length)) / np.where(length > 0.0, length, 1.0)
        t = np.minimum(np.maximum(t, 0.0), 1.0)
        following = (k + 1) % DIRECTIONS
        inward_y = ny[outline, k] + t * (ny[outline, following] - ny[outline, k])
        inward_x = nx[outline, k] + t * (nx[outline, following] - nx[outline, k])
        turns = turns_of(inward_y, inward_x)
        return outline, y[outline, k] + t * step_y[outline, k], x[outline, k] + t * step_x[outline, k], turns


def _forms(stream: Stream, count: int, stretch: float, lobes: tuple[float, ...]) -> Floats:
    """Return the radii of lobed ellipses of size 1, (count, DIRECTIONS); branches 3 to 5 of the stream."""
    turns = np.arange(DIRECTIONS) / DIRECTIONS
    ratio = 1.0 + (stretch - 1.0) * stream.at(3).uniforms(count)
    along = turns + stream.at(4).uniforms(count)[:, None]
    cos, sin = cos_turns(along), sin_turns(along)
    ellipse = np.sqrt(ratio)[:, None] / np.sqrt(cos * cos + sin * sin * (ratio * ratio)[:, None])
    draws = stream.at(5).uniforms(2 * len(lobes) * count).reshape(len(lobes), 2, count, 1)
    wave = np.ones_like(ellipse)
    for number, (amplitude, (strength, phase)) in enumerate(zip(lobes, draws, strict=True)):
        wave += amplitude * strength * sin_turns((number + 2.0) * turns + phase)
    return ellipse * np.maximum(wave, 0.3)


def _softened(radii: Floats, steps: tuple[int, ...]) -> Floats:
    """Return radii averaged over neighbouring directions."""
    for step in steps:
        radii = (np.roll(radii, step, axis=1) + 2.0 * radii + np.roll(radii, -step, axis=1)) * 0.25
    return radii


def _cross_pairs(y: Floats, x: Floats, oy: Floats, ox: Floats, reach: float) -> tuple[Indices, Indices]:
    """Return pairs (point, other) not farther than ``reach`` from each other."""
    rows, columns = np.floor(y / reach).astype(np.int64), np.floor(x / reach).astype(np.int64)
    other_rows, other_columns = np.floor(oy / reach).astype(np.int64), np.floor(ox / reach).astype(np.int64)
    low = int(min(columns.min(), other_columns.min())) - 1
    across = int(max(columns.max(), other_columns.max())) - low + 2
    keys = other_rows * across + other_columns - low
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    mine, others = [], []
    for step in (-across, 0, across):
        centre = rows * across + columns - low + step
        start, stop = np.searchsorted(keys, centre - 1), np.searchsorted(keys, centre + 1, side="right")
        counts = stop - start
        point = np.repeat(np.arange(len(y)), counts)
        mine.append(point)
        others.append(order[np.arange(len(point)) - np.repeat(np.cumsum(counts) - counts, counts) + start[point]])
    point, other = np.concatenate(mine), np.concatenate(others)
    dy, dx = y[point] - oy[other], x[point] - ox[other]
    near = dy * dy + dx * dx <= reach * reach
    return point[near], other[near]


@cache
def _diamonds() -> Floats:
    turns = np.arange(_FINE + 1) / _FINE
    values = _diamond(sin_turns(turns), cos_turns(turns))
    values[-1] = 4.0
    return values


def _diamond(dy: Floats, dx: Floats) -> Floats:
    """Return a number in [0, 4) that rises with the angle of a vector."""
    total = np.abs(dy) + np.abs(dx)
    p = dy / np.where(total > 0.0, total, 1.0)
    return np.where(dx < 0.0, 2.0 - p, np.where(dy < 0.0, 4.0 + p, p))


def turns_of(dy: Floats, dx: Floats) -> Floats:
    """Return the angle of vectors in turns, in [0, 1], from the right (x) to below (y); 0 for the null vector.

    A table of 4,096 directions, linear interpolation; within 1e-6 of the angle, the same bits on every machine.
    """
    value, table = _diamond(dy, dx), _diamonds()
    index = np.minimum(np.maximum(np.searchsorted(table, value, side="right") - 1, 0), _FINE - 1)
    low = table[index]
    return (index + (value - low) / (table[index + 1] - low)) / _FINE
