"""Cell nuclei: bent, tapered ellipses, from numbers to runs of pixels.

A nucleus has a frame of its own: its centre is the origin, u runs along its long axis, v across. With s = u / a and the half
axes a >= b, a point belongs to it iff |s| <= 1 and

    s^2 + ((v / b - bend (s^2 - 1/4) - curl (s^3 - s)) / (1 + taper s + blunt (s^2 - 1/4)))^2 <= 1.

Bend and curl move the axis (a banana, an S), taper makes one end thicker, blunt squares both ends (pointed where negative). None
of them changes the area, pi a b. A pixel belongs to a nucleus iff its centre does; float64 + - x / in this order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import cos_turns, sin_turns
from miso_gen.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.rng import Stream

    Floats = NDArray[np.float64]

PI = 3.141592653589793
_TESTS = 2**18  #: pixels tested at a time, so that the arrays stay in a cache


@dataclass(frozen=True)
class Form:
    """How far the forms of nuclei go, see :class:`Nuclei`: bend, curl and taper to either side, blunt between two numbers."""

    bend: float
    curl: float
    taper: float
    blunt: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei on a canvas, each field (n,) float64.

    Attributes:
        row: Centres, in pixels from the upper border of the canvas.
        column: Centres, in pixels from its left border.
        turns: Direction of the long axis, from the right downwards, in turns (1 = 360 degrees).
        major: Half of the long axis, in pixels.
        minor: Half of the short axis, in pixels.
        bend: How far the axis bends, in half short axes; |bend| <= 2.
        curl: How far it bends to both sides; |curl| <= 1.
        taper: How much thicker one end is, |taper| <= 0.4.
        blunt: How square the ends are, |blunt| <= 0.5.
    """

    row: Floats
    column: Floats
    turns: Floats
    major: Floats
    minor: Floats
    bend: Floats
    curl: Floats
    taper: Floats
    blunt: Floats

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def drawn(
        cls, stream: Stream, count: int, areas: tuple[float, float], eccentricities: tuple[float, float], form: Form
    ) -> Nuclei:
        """Return nuclei of random sizes and forms, all uniform, at the origin, lying along the rows.

        Args:
            stream: Where they come from, branches 0 to 5.
            count: How many.
            areas: Least and greatest area, in square pixels.
            eccentricities: Least and greatest eccentricity, sqrt(1 - (short axis / long axis)^2), below 1.
            form: How far the forms go.
        """
        ranges = (
            areas,
            eccentricities,
            (-form.bend, form.bend),
            (-form.curl, form.curl),
            (-form.taper, form.taper),
            form.blunt,
        )
        area, eccentricity, *forms = (
            low + (high - low) * stream.at(branch).uniforms(count) for branch, (low, high) in enumerate(ranges)
        )
        ratio = np.sqrt(1.0 - eccentricity * eccentricity)
        major = np.sqrt(area / (PI * ratio))
        zero = np.zeros(count)
        return cls(zero, zero, zero, major, major * ratio, *forms)

    @cached_property
    def cos(self) -> Floats:
        """(n,) cosine of the direction of the long axis."""
        return cos_turns(self.turns)

    @cached_property
    def sin(self) -> Floats:
        """(n,) its sine."""
        return sin_turns(self.turns)

    @cached_property
    def reach(self) -> tuple[Floats, Floats]:
        """How far a nucleus reaches from its centre at most, down and along the canvas, in pixels, (n,) each."""
        thick = 1.0 + np.abs(self.taper) + 0.75 * np.abs(self.blunt)
        aside = self.minor * (0.75 * np.abs(self.bend) + 0.4 * np.abs(self.curl))
        across = self.minor * thick

        def along(cos: Floats, sin: Floats) -> Floats:
            return np.sqrt((self.major * cos) * (self.major * cos) + (across * sin) * (across * sin)) + aside * np.abs(sin)

        return along(self.sin, self.cos), along(self.cos, self.sin)

    def moved(self, row: Floats, column: Floats, turns: Floats | None = None) -> Nuclei:
        """Return the nuclei at other centres, and in other directions if these are given."""
        return replace(self, row=row, column=column, turns=self.turns if turns is None else turns)

    def joined(self, other: Nuclei) -> Nuclei:
        """Return these nuclei and others after them."""
        return Nuclei(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in Nuclei.__dataclass_fields__}
        )

    def runs(self, height: int, width: int) -> LabelRuns:
        """Return the pixels of the nuclei on a canvas, ids from 1 in their order; later ones lie on top of earlier ones."""
        tall, wide = (4 * np.floor(reach * 0.5 + 1.25).astype(np.int64) for reach in self.reach)  # few different sizes
        shapes = tall * 65536 + wide
        parts: list[tuple[NDArray[np.int64], ...]] = [(np.zeros(0, np.int64),) * 4]
        for shape in np.unique(shapes).tolist():
            mine = np.flatnonzero(shapes == shape)
            sides = divmod(shape, 65536)
            count = max(1, _TESTS // (sides[0] * sides[1]))
            parts.extend(self._runs_of(mine[start : start + count], *sides) for start in range(0, len(mine), count))
        rows, first, stop, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(ids, kind="stable")
        return LabelRuns.of_runs(height, width, rows[order], first[order], stop[order], ids[order])

    def _runs_of(self, which: NDArray[np.int64], tall: int, wide: int) -> tuple[NDArray[np.int64], ...]:
        """Return rows, first columns, stops and ids of the runs of some nuclei, each tested on ``tall`` x ``wide`` pixels."""
        top = np.floor(self.row[which]).astype(np.int64) - tall // 2
        left = np.floor(self.column[which]).astype(np.int64) - wide // 2
        down = (np.arange(tall) + 0.5 + (top - self.row[which])[:, None])[:, :, None]
        right = (np.arange(wide) + 0.5 + (left - self.column[which])[:, None])[:, None, :]
        edged = np.zeros((len(which), tall, wide + 2), np.bool_)
        edged[:, :, 1:-1] = self._holds(which, right, down)
        changes = np.flatnonzero(edged[:, :, 1:] != edged[:, :, :-1])  # in turn: where a run begins, and ends
        line, first = np.divmod(changes[::2], wide + 1)
        stop = first + changes[1::2] - changes[::2]
        nucleus, row = np.divmod(line, tall)
        return top[nucleus] + row, left[nucleus] + first, left[nucleus] + stop, which[nucleus] + 1

    def _holds(self, which: NDArray[np.int64], right: Floats, down: Floats) -> NDArray[Any]:
        """Whether nuclei hold points at offsets from their centres; (n, 1, w) and (n, h, 1) give (n, h, w)."""

        def own(values: Floats) -> Floats:
            return values[which][:, None, None]

        cos, sin = own(self.cos), own(self.sin)
        s = right * (cos / own(self.major)) + down * (sin / own(self.major))
        v = down * (cos / own(self.minor)) - right * (sin / own(self.minor))
        squared = s * s
        inner = squared - 0.25
        v -= own(self.bend) * inner
        v -= own(self.curl) * (squared * s - s)
        thick = own(self.blunt) * inner
        thick += own(self.taper) * s
        thick += 1.0
        v /= thick
        v *= v
        v += squared
        return (v <= 1.0) & (squared <= 1.0)


def half_axes(areas: tuple[float, float], eccentricities: tuple[float, float]) -> tuple[float, float]:
    """Return the half axes, long and short, of an ellipse in the middle of both ranges."""
    area, eccentricity = 0.5 * (areas[0] + areas[1]), 0.5 * (eccentricities[0] + eccentricities[1])
    ratio = sqrt(1.0 - eccentricity * eccentricity)
    major = sqrt(area / (PI * ratio))
    return major, major * ratio
