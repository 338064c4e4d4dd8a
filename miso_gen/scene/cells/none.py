"""No cell."""

from __future__ import annotations

from typing import ClassVar

from miso_gen.recipe.plugins import CELLS, Cell


@CELLS.register("none", alias="9")
class NoCell(Cell):
    """Nothing: the background alone.

    ::

        cells: [none, cell]

    Source: Tjoa & Guan, class 9.
    """

    number: ClassVar[int] = 9
