"""Ellipse with a plus of bar and pole."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from miso_gen.recipe.parameters import PositiveFloat, drawn
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import EllipticCell, Part
from miso_gen.scene.shapes import Ray


@CELLS.register("cell-plus", alias="2")
class CellPlus(EllipticCell):
    """An ellipse with a border and a plus of bar and pole in the border's colour, which is its discriminative part.

    ::

        cells: [{type: cell-plus, bar_px: 20}]

    Source: Tjoa & Guan, class 2.
    """

    number: ClassVar[int] = 2
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner", "bar", "pole"})
    tells: ClassVar[frozenset[str]] = frozenset({"bar", "pole"})

    bar_px: PositiveFloat = drawn(uniform=(10.0, 30.0))
    """Thickness of the bar, which is as wide as the ellipse."""

    pole_px: PositiveFloat = drawn(uniform=(5.0, 40.0))
    """Thickness of the pole, which is as high as the ellipse."""

    def parts(self) -> tuple[Part, ...]:
        """See :class:`DrawnCell`."""
        bar = Ray.turned(
            90.0, self.half(float(np.floor(0.5 * self.bar_px))), -self.half(self.radius_px), self.half(self.radius_px)
        )
        half_height = self.half(self.radius_px * self.stretch)
        pole = Ray.turned(0.0, self.half(float(np.floor(0.5 * self.pole_px))), -half_height, half_height)
        return (*self.body(1), Part("bar", (bar,), self.border, 2), Part("pole", (pole,), self.border, 2))
