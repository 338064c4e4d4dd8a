"""Rectangle with a blue border."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.parameters import UnitInterval, drawn
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import RectangularCell


@CELLS.register("rect-blue", alias="5")
class RectBlue(RectangularCell):
    """A rectangle with a blue border, which is its discriminative part.

    ::

        cells: [{type: rect-blue, border_px: 20}]

    Source: Tjoa & Guan, class 5.
    """

    number: ClassVar[int] = 5
    draws: ClassVar[frozenset[str]] = frozenset({"blue rim", "inner"})
    tells: ClassVar[frozenset[str]] = frozenset({"blue rim"})

    border_blue: UnitInterval = drawn(uniform=(0.6, 0.9))
    """Blue of the border."""
