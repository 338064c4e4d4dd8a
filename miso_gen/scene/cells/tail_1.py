"""Ellipse with one tail."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.parameters import UnitInterval
from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import TailedCell


@CELLS.register("tail-1", alias="6")
class Tail1(TailedCell):
    """An ellipse with a border and one tail, which is its discriminative part.

    ::

        cells: [{type: tail-1, tail_px: 20}]

    Source: Tjoa & Guan, class 6.
    """

    number: ClassVar[int] = 6
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner", "tail"})
    tells: ClassVar[frozenset[str]] = frozenset({"tail"})
    angles_deg: ClassVar[tuple[float, ...]] = (0.0,)
    least_share: ClassVar[str | None] = "tail_share"

    tail_share: UnitInterval = 0.003
    """Least share of the image that the tail must cover where cells may leave the canvas; else the cell is drawn again."""
