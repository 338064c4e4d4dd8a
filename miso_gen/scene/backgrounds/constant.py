"""Constant background: one grey everywhere."""

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


@BACKGROUNDS.register("constant")
class Constant(PaintedBackground):
    """One value everywhere, in all channels.

    ::

        background: {type: constant, value: 0.5}
    """

    value: UnitInterval = 0.5
    """The value."""

    def paint(self, box: Box, pixels: PixelType, noise: NoiseField) -> NDArray[Any]:
        """See :class:`PaintedBackground`."""
        return pixels.flat(self.value)
