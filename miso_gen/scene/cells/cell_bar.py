"""Ellipse with a bar."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from miso_gen.recipe.parameters import PositiveFloat, drawn
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import EllipticCell, Part
from miso_gen.scene.shapes import Ray


@CELLS.register("cell-bar", alias="1")
class CellBar(EllipticCell):
    """An ellipse with a border and a bar in the border's colour, which is its discriminative part.

    ::

        cells: [{type: cell-bar, bar_px: 20}]

    Source: Tjoa & Guan, class 1.
    """

    number: ClassVar[int] = 1
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner", "bar"})
    tells: ClassVar[frozenset[str]] = frozenset({"bar"})

    bar_px: PositiveFloat = drawn(uniform=(10.0, 30.0))
    """Thickness of the bar, which is as wide as the ellipse."""

    def parts(self) -> tuple[Part, ...]:
        """See :class:`DrawnCell`."""
        bar = Ray.turned(
            90.0, self.half(float(np.floor(0.5 * self.bar_px))), -self.half(self.radius_px), self.half(self.radius_px)
        )
        return (*self.body(1), Part("bar", (bar,), self.border, 2))
