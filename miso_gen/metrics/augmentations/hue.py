"""Images of other hues."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, ColorAugmentation
from miso_gen.metrics.colors import hsv, rgb
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("hue")
class Hue(ColorAugmentation):
    """The hue is turned. Needs three channels; greys stay.

    ::

        type: hue
        turns: 0.4

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    source: ClassVar[str] = "Tetkova & Hansen 2023"

    turns: PositiveFloat = 100 / 255
    """Greatest change, in turns of the colour wheel."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.turns

    def coloured(self, images: Tensor, degree: float) -> Tensor:
        """See :meth:`ColorAugmentation.coloured`."""
        found = hsv(images)
        found[:, 0] += degree * self.turns
        return rgb(found)
