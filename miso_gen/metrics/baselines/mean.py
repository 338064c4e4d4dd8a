"""The mean colour of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.filling import BASELINES, Baseline

if TYPE_CHECKING:
    from torch import Tensor


@BASELINES.register("mean")
class Mean(Baseline):
    """The mean of each channel over the image.

    ::

        type: mean

    Source: Rieger & Hansen, IROF, 2020.
    """

    source: ClassVar[str] = "Rieger & Hansen 2020"

    def fill(self, images: Tensor) -> Tensor:
        """See :meth:`Baseline.fill`."""
        middle = images.mean((-2, -1), keepdim=True, dtype=torch.float64)
        return middle.to(images.dtype).expand_as(images)
