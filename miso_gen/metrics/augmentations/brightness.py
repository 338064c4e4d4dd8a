"""Brighter and darker images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, ColorAugmentation
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("brightness")
class Brightness(ColorAugmentation):
    """A number is added to every channel; values are cut to [0, 1].

    ::

        type: brightness
        by: 0.4

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    channels: ClassVar[int | None] = None
    source: ClassVar[str] = "Tetkova & Hansen 2023"

    by: PositiveFloat = 100 / 255
    """Greatest change of a value of images in [0, 1]."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.by

    def coloured(self, images: Tensor, degree: float) -> Tensor:
        """See :meth:`ColorAugmentation.coloured`."""
        return (images + degree * self.by).clamp(0, 1)
