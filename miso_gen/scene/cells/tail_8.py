"""Ellipse with eight tails."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import TailedCell


@CELLS.register("tail-8", alias="8")
class Tail8(TailedCell):
    """An ellipse with a border and eight tails, which are its discriminative part.

    ::

        cells: [{type: tail-8, tail_px: 20}]

    Source: Tjoa & Guan, class 8.
    """

    number: ClassVar[int] = 8
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner", "tail"})
    tells: ClassVar[frozenset[str]] = frozenset({"tail"})
    angles_deg: ClassVar[tuple[float, ...]] = (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0)
