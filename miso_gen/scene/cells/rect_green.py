"""Rectangle with a green border."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.parameters import UnitInterval, drawn
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import RectangularCell


@CELLS.register("rect-green", alias="4")
class RectGreen(RectangularCell):
    """A rectangle with a green border, which is its discriminative part.

    ::

        cells: [{type: rect-green, border_px: 20}]

    Source: Tjoa & Guan, class 4.
    """

    number: ClassVar[int] = 4
    draws: ClassVar[frozenset[str]] = frozenset({"green rim", "inner"})
    tells: ClassVar[frozenset[str]] = frozenset({"green rim"})

    border_green: UnitInterval = drawn(uniform=(0.6, 0.9))
    """Green of the border."""
