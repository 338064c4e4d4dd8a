"""The image itself, blurred."""

from __future__ import annotations

from math import ceil, exp
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import pad

from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


@BASELINES.register("blur")
class Blur(Baseline):
    """The image under a Gaussian of 3 standard deviations to each side; beyond the border, the border goes on.

    ::

        type: blur
        sigma_px: 5

    Source: Petsiuk et al., RISE, 2018, who cut the Gaussian at 5 px.
    """

    source: ClassVar[str] = "Petsiuk et al. 2018"

    sigma_px: PositiveFloat = 5.0
    """Standard deviation."""

    def fill(self, images: Tensor) -> Tensor:
        """See :meth:`Baseline.fill`."""
        return self._along(self._along(images, -1), -2)

    def _along(self, images: Tensor, axis: int) -> Tensor:
        """Return images blurred along one axis; shifts are added, as CUDA would round convolutions."""
        reach = ceil(3 * self.sigma_px)
        weights = [exp(-0.5 * (place / self.sigma_px) ** 2) for place in range(-reach, reach + 1)]
        sides = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
        wide, found = pad(images, sides, mode="replicate"), torch.zeros_like(images)
        for place, weight in enumerate(weights):
            found += wide.narrow(axis, place, images.shape[axis]) * (weight / sum(weights))
        return found
