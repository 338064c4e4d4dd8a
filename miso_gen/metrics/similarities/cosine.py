"""Cosine of the angle between two maps."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.similarity import SIMILARITIES, Similarity

if TYPE_CHECKING:
    from torch import Tensor


@SIMILARITIES.register("cosine")
class Cosine(Similarity):
    """Sum of products over the product of norms; undefined where a map is 0 everywhere.

    ::

        type: cosine

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    source: ClassVar[str] = "Tetkova & Hansen 2023"

    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """See :meth:`Similarity.compared`."""
        sizes = [map.where(inside, 0.0).abs().amax((1, 2)) for map in (one, other)]
        units = [
            map.where(inside, 0.0) / size.where(size > 0, 1.0)[:, None, None]
            for map, size in zip((one, other), sizes, strict=True)
        ]
        norms = units[0].square().sum((1, 2)) * units[1].square().sum((1, 2))
        found = (units[0] * units[1]).sum((1, 2)) / norms.sqrt()
        return found.clamp(-1, 1).where(torch.minimum(*sizes) > 0, nan)
