"""Binarisation at the mean and some standard deviations."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import MAP_BINARIZERS, MapBinarizer
from miso_gen.metrics.planes import checked, finite, mean

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


@MAP_BINARIZERS.register("mean-std")
class MeanStd(MapBinarizer):
    """Above the mean and ``k`` standard deviations of each map (of all its pixels, divided by their number).

    For k > 0, at most 1 / (1 + k^2) of a map can be above (one-sided Chebyshev), half of it for k = 1.

    ::

        type: mean-std
        k: 1

    Source: You, XRelevance-CAM, 2022.
    """

    source: ClassVar[str] = "You 2022"
    bound: ClassVar[str] = "1 / (1 + k^2) for k > 0"

    k: float = 1.0
    """Standard deviations above the mean."""

    def threshold(self, map: Tensor) -> Tensor:
        """See :meth:`MapBinarizer.threshold`."""
        checked(map)
        middle = mean(map)
        least, most = map.flatten(-2).aminmax(dim=-1)
        spread = mean((map.to(torch.float64) - middle[..., None, None]).square_()).sqrt()
        return _threshold(middle, spread, self.k, least.to(torch.float64), most.to(torch.float64)).where(finite(map), nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`MapBinarizer.from_joint`."""
        every, middle = joint.by_truth.sum(-2), joint.mean
        spread = ((every * (joint.values - middle[..., None]).square()).sum(-1) / joint.size).sqrt()
        least = torch.where(every > 0, joint.values, torch.inf).amin(-1)
        most = torch.where(every > 0, joint.values, -torch.inf).amax(-1)
        return _threshold(middle, spread, self.k, least, most)


def _threshold(middle: Tensor, spread: Tensor, k: float, least: Tensor, most: Tensor) -> Tensor:
    """Return the threshold; of a constant map its value, which rounding of the mean could fall below."""
    return torch.where(least == most, most, middle + k * spread)
