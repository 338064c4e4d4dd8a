"""Black background."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.scene.interfaces import PaintedBackground
from miso_gen.scene.pixels import PixelType

if TYPE_CHECKING:
    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.rng import NoiseField
    from miso_gen.scene.textures import Painted


@BACKGROUNDS.register("black", alias="0")
class Black(PaintedBackground):
    """Black everywhere.

    ::

        background: black

    Source: Tjoa & Guan, background 0 (type 1 in the text).
    """

    few_valued: ClassVar[bool] = True

    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """See :class:`PaintedBackground`."""
        return PixelType(canvas.dtype).planes(box.shape, {})
