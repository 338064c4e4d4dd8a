"""Constant background: one grey everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.planes import Bits
from miso_gen.recipe.parameters import UnitInterval
from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.scene.interfaces import PaintedBackground
from miso_gen.scene.pixels import PixelType

if TYPE_CHECKING:
    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.rng import NoiseField
    from miso_gen.scene.textures import Painted


@BACKGROUNDS.register("constant")
class Constant(PaintedBackground):
    """One value everywhere, in all channels.

    ::

        background: {type: constant, value: 0.5}
    """

    few_valued: ClassVar[bool] = True

    value: UnitInterval = 0.5
    """The value."""

    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """See :class:`PaintedBackground`."""
        return PixelType(canvas.dtype).planes(box.shape, {self.value: Bits.full(box.shape)} if self.value else {})
