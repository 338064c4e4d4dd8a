"""Binarisation at a value."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import MAP_BINARIZERS, MapBinarizer
from miso_gen.metrics.planes import checked, finite

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


@MAP_BINARIZERS.register("fixed")
class Fixed(MapBinarizer):
    """Above a value, the same for all maps.

    ::

        type: fixed
        value: 0.5

    Source: the usual choice for maps that are probabilities.
    """

    source: ClassVar[str] = "usual"
    bound: ClassVar[str] = "1"

    value: float = 0.5
    """The threshold."""

    def threshold(self, map: Tensor) -> Tensor:
        """See :meth:`MapBinarizer.threshold`."""
        checked(map)
        known = finite(map)
        return torch.full_like(known, self.value, dtype=torch.float64).where(known, nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`MapBinarizer.from_joint`."""
        return torch.full_like(joint.size, self.value, dtype=torch.float64)
