"""Larger and smaller images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from miso_gen.metrics.augmenting import AUGMENTATIONS, MovingAugmentation

if TYPE_CHECKING:
    from torch import Tensor


@AUGMENTATIONS.register("scaling")
class Scaling(MovingAugmentation):
    """The image grows or shrinks about its centre, its size staying: by the factor 1 + degree x ``by``.

    ::

        type: scaling
        by: 0.2

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    source: ClassVar[str] = "Tetkova & Hansen 2023"

    by: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Greatest change of the factor."""

    @property
    def reach(self) -> float:
        """See :meth:`Augmentation.reach`."""
        return self.by

    def origin(self, x: Tensor, y: Tensor, degree: float, width: int, height: int) -> tuple[Tensor, Tensor]:
        """See :meth:`MovingAugmentation.origin`."""
        factor = 1 + degree * self.by
        return x / factor, y / factor
