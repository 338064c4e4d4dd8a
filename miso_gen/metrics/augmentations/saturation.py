"""Images of stronger and weaker colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, ColorAugmentation
from miso_gen.metrics.colors import hsv, rgb
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("saturation")
class Saturation(ColorAugmentation):
    """A number is added to the saturation, which is cut to [0, 1]. Needs three channels; greys turn red, as their hue is 0.

    ::

        type: saturation
        by: 0.4

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    source: ClassVar[str] = "Tetkova & Hansen 2023"

    by: PositiveFloat = 100 / 255
    """Greatest change of the saturation, which is in [0, 1]."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.by

    def coloured(self, images: Tensor, degree: float) -> Tensor:
        """See :meth:`ColorAugmentation.coloured`."""
        found = hsv(images)
        found[:, 1] = (found[:, 1] + degree * self.by).clamp(0, 1)
        return rgb(found)
