"""Rectangle with a red border."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.parameters import UnitInterval, drawn
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import RectangularCell


@CELLS.register("rect-red", alias="3")
class RectRed(RectangularCell):
    """A rectangle with a red border, which is its discriminative part.

    ::

        cells: [{type: rect-red, border_px: 20}]

    Source: Tjoa & Guan, class 3.
    """

    number: ClassVar[int] = 3
    draws: ClassVar[frozenset[str]] = frozenset({"red rim", "inner"})
    tells: ClassVar[frozenset[str]] = frozenset({"red rim"})

    border_red: UnitInterval = drawn(uniform=(0.6, 0.9))
    """Red of the border."""
