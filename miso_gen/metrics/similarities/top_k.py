"""Overlap of the highest pixels of two maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.removal import places
from miso_gen.metrics.similarity import SIMILARITIES, Similarity
from miso_gen.recipe.parameters import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@SIMILARITIES.register("top-k")
class TopK(Similarity):
    """Share of the k highest pixels of one map that are among the k highest of the other.

    Of equal pixels, the first in rows is higher. All pixels that count, where these are fewer than k.

    ::

        type: top-k
        k: 1000

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    source: ClassVar[str] = "Tetkova & Hansen 2023"

    k: PositiveInt = 1000
    """Number of pixels."""

    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """See :meth:`Similarity.compared`."""
        number = inside.flatten(1).sum(1).clamp(max=self.k)
        high = [places(map.where(inside, -torch.inf)) < number[:, None] for map in (one, other)]
        return (high[0] & high[1]).sum(1).to(torch.float64) / number
