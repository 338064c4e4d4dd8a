"""Binarisation at a quantile."""

from __future__ import annotations

from math import ceil, nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import MAP_BINARIZERS, MapBinarizer
from miso_gen.metrics.planes import checked, finite
from miso_gen.metrics.top import kth_highest
from miso_gen.recipe.parameters import UnitInterval

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


@MAP_BINARIZERS.register("quantile")
class Quantile(MapBinarizer):
    """Above a quantile: the least value of the map that a share ``q`` of its pixels don't exceed.

    At most 1 - q of a map is above; less where pixels share the value.

    ::

        type: quantile
        q: 0.9

    Source: Hyndman & Fan, Sample quantiles in statistical packages, 1996, definition 1.
    """

    source: ClassVar[str] = "Hyndman & Fan 1996"
    bound: ClassVar[str] = "1 - q"

    q: UnitInterval = 0.9
    """Share of the pixels that are not above."""

    def threshold(self, map: Tensor) -> Tensor:
        """See :meth:`MapBinarizer.threshold`."""
        checked(map)
        known, size = finite(map), map.shape[-2] * map.shape[-1]
        flat = map.where(known[..., None, None], 0.0).reshape(-1, size)
        rank = size + 1 - _rank(self.q, size)
        found = kth_highest(flat, torch.full((len(flat),), rank, device=map.device))
        return found.reshape(map.shape[:-2]).to(torch.float64).where(known, nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`MapBinarizer.from_joint`."""
        ranks = (joint.size.to(torch.float64) * self.q).ceil().clamp(min=1)
        reached = joint.by_truth.sum(-2).cumsum(-1) >= ranks[..., None]
        return torch.where(reached, joint.values, torch.inf).amin(-1)


def _rank(q: float, size: int) -> int:
    return max(1, ceil(q * size))
