"""Ellipse with three tails."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.plugins import CELLS
from miso_gen.scene.figures import TailedCell


@CELLS.register("tail-3", alias="7")
class Tail3(TailedCell):
    """An ellipse with a border and three tails, which are its discriminative part.

    ::

        cells: [{type: tail-3, tail_px: 20}]

    Source: Tjoa & Guan, class 7.
    """

    number: ClassVar[int] = 7
    draws: ClassVar[frozenset[str]] = frozenset({"rim", "inner", "tail"})
    tells: ClassVar[frozenset[str]] = frozenset({"tail"})
    angles_deg: ClassVar[tuple[float, ...]] = (0.0, 120.0, 240.0)
