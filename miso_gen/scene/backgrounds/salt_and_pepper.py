"""Salt-and-pepper background: every pixel black or white."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.recipe.parameters import UnitInterval
from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.scene.interfaces import PaintedBackground
from miso_gen.scene.pixels import PixelType

if TYPE_CHECKING:
    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.rng import NoiseField
    from miso_gen.scene.textures import Painted


@BACKGROUNDS.register("salt-and-pepper")
class SaltAndPepper(PaintedBackground):
    """Independent pixels, 1 with a chance, else 0; the same in all channels.

    ::

        background: {type: salt-and-pepper, probability: 0.5}

    Source: MISO, pixel rules (N).
    """

    few_valued: ClassVar[bool] = True

    probability: UnitInterval = 0.5
    """Chance of a 1."""

    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """See :class:`PaintedBackground`."""
        return PixelType(canvas.dtype).planes(box.shape, {1.0: noise.bernoulli(self.probability, box)})
