"""Binarisation by Otsu's threshold."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import MAP_BINARIZERS, MapBinarizer
from miso_gen.metrics.planes import checked, extremes, finite
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


@MAP_BINARIZERS.register("otsu")
class Otsu(MapBinarizer):
    """Above the threshold that tells two classes of values apart best: greatest variance between them.

    Values are counted in ``bins`` equal bins from the least to the greatest; the threshold is the centre of the last bin of the
    lower class, the first best one. Of a constant map it is the value.

    ::

        type: otsu
        bins: 256

    Source: Otsu, A threshold selection method from gray-level histograms, 1979; bins as in scikit-image.
    """

    source: ClassVar[str] = "Otsu 1979"
    bound: ClassVar[str] = "1"

    bins: PositiveInt = 256
    """Number of bins."""

    def threshold(self, map: Tensor) -> Tensor:
        """See :meth:`MapBinarizer.threshold`."""
        checked(map)
        known, shape = finite(map), map.shape[:-2]
        flat = map.where(known[..., None, None], 0.0).flatten(-2).reshape(-1, map.shape[-2] * map.shape[-1])
        low, high = (edge.to(torch.float64) for edge in extremes(flat[:, None]))
        rows = torch.arange(len(flat), device=map.device)[:, None] * self.bins
        counts = torch.bincount((self._bin(flat, low, high) + rows).flatten(), minlength=len(flat) * self.bins)
        return self._best(counts.reshape(-1, self.bins), low, high).reshape(shape).where(known, nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`MapBinarizer.from_joint`."""
        every = joint.by_truth.sum(-2)
        values = joint.values.expand_as(every)
        low = torch.where(every > 0, values, torch.inf).amin(-1)
        high = torch.where(every > 0, values, -torch.inf).amax(-1)
        counts = torch.zeros(*every.shape[:-1], self.bins, dtype=torch.int64, device=every.device)
        counts.scatter_add_(-1, self._bin(values, low, high), every)
        return self._best(counts, low, high)

    def _bin(self, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the bin of each value (..., N), int64."""
        width = torch.where(high > low, high - low, 1.0)
        return (
            ((values.to(torch.float64) - low[..., None]) * (self.bins / width[..., None]))
            .floor_()
            .clamp_(0, self.bins - 1)
            .long()
        )

    def _best(self, counts: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the threshold (...) of counts (..., bins)."""
        bins = torch.arange(self.bins, dtype=torch.float64, device=counts.device)
        below, sums = counts.cumsum(-1).to(torch.float64), (counts * bins).cumsum(-1)
        above, rest = below[..., -1:] - below, sums[..., -1:] - sums
        spread = below * above * (sums / below.clamp(min=1.0) - rest / above.clamp(min=1.0)).square()
        # Bins without pixels repeat the spread of the one before, up to rounding: the first of them is taken.
        first = (spread >= spread.amax(-1, keepdim=True) * (1.0 - 1e-12)).to(torch.int64)
        best = bins.shape[-1] - (first * torch.arange(self.bins, 0, -1, device=counts.device)).amax(-1)
        return torch.where(high > low, low + (best + 0.5) * (high - low) / self.bins, high)
