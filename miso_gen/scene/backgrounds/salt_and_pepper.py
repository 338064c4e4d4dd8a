"""Salt-and-pepper background: every pixel black or white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miso_gen.recipe.parameters import UnitInterval
from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.scene.interfaces import PaintedBackground

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.rng import NoiseField
    from miso_gen.scene.pixels import PixelType


@BACKGROUNDS.register("salt-and-pepper")
class SaltAndPepper(PaintedBackground):
    """Independent pixels, 1 with a chance, else 0; the same in all channels.

    ::

        background: {type: salt-and-pepper, probability: 0.5}

    Source: MISO, pixel rules (N).
    """

    probability: UnitInterval = 0.5
    """Chance of a 1."""

    def paint(self, box: Box, pixels: PixelType, noise: NoiseField) -> NDArray[Any]:
        """See :class:`PaintedBackground`."""
        return pixels.of_bits(noise.bernoulli(self.probability, box))
