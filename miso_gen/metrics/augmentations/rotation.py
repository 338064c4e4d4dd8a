"""Turned images."""

from __future__ import annotations

from math import cos, radians, sin
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.augmenting import AUGMENTATIONS, MovingAugmentation
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("rotation")
class Rotation(MovingAugmentation):
    """The image turns about its centre, counter-clockwise for degrees above 0.

    ::

        type: rotation
        degrees: 40

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    source: ClassVar[str] = "Tetkova & Hansen 2023"

    degrees: PositiveFloat = 40.0
    """Greatest angle, degrees."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.degrees

    def origin(self, x: Tensor, y: Tensor, degree: float, width: int, height: int) -> tuple[Tensor, Tensor]:
        """See :meth:`MovingAugmentation.origin`."""
        angle = radians(degree * self.degrees)
        return x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle)
