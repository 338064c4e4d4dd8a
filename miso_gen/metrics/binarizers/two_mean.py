"""Binarisation at twice the mean."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from miso_gen.metrics.interfaces import MAP_BINARIZERS, MapBinarizer
from miso_gen.metrics.planes import checked, extremes, finite, mean

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


@MAP_BINARIZERS.register("two-mean")
class TwoMean(MapBinarizer):
    """Above twice the mean of absolute values, over the whole map with its zeros.

    Less than half of a map can be above: the truth itself becomes a blank mask where it covers half of the map.

    ::

        type: two-mean
        factor: 2

    Source: MISO; Achanta et al., Frequency-tuned salient region detection, 2009.
    """

    source: ClassVar[str] = "MISO; Achanta et al. 2009"
    bound: ClassVar[str] = "< 1 / factor"

    factor: Annotated[float, Field(gt=1)] = 2.0
    """Multiple of the mean."""

    def threshold(self, map: Tensor) -> Tensor:
        """See :meth:`MapBinarizer.threshold`."""
        checked(map)
        least, _ = extremes(map)
        sizes = map if bool((least >= 0).all()) else map.abs()
        return (self.factor * mean(sizes)).where(finite(map), nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`MapBinarizer.from_joint`."""
        return self.factor * (joint.by_truth.sum(-2) * joint.values.abs()).sum(-1) / joint.size
