"""Shifted images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from miso_gen.metrics.augmenting import AUGMENTATIONS, MovingAugmentation
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("translation")
class Translation(MovingAugmentation):
    """The image is shifted along one axis: to the right or down for degrees above 0.

    ::

        type: translation
        share: 0.4
        axis: y

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    source: ClassVar[str] = "Tetkova & Hansen 2023"

    share: PositiveFloat = 0.4
    """Greatest shift, as a share of the image's width or height."""

    axis: Literal["x", "y"] = "x"
    """Along rows or columns."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.share

    def origin(self, x: Tensor, y: Tensor, degree: float, width: int, height: int) -> tuple[Tensor, Tensor]:
        """See :meth:`MovingAugmentation.origin`."""
        shift = degree * self.share
        return (x - shift * width, y) if self.axis == "x" else (x, y - shift * height)
