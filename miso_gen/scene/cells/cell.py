"""Ellipse with a border."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import EllipticCell, Part


@CELLS.register("cell", alias="0")
class CircularCell(EllipticCell):
    """An ellipse with a border, which is its discriminative part.

    ::

        cells: [{type: cell, radius_px: {uniform: [90, 110]}}]

    Source: Tjoa & Guan, class 0.
    """

    number: ClassVar[int] = 0
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner"})
    fields: ClassVar[int] = 1
    tells: ClassVar[frozenset[str]] = frozenset({"rim"})

    def parts(self) -> tuple[Part, ...]:
        """See :class:`DrawnCell`."""
        return self.body(2)
