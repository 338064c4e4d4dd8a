"""Pearson's correlation of two maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.similarity import SIMILARITIES, Similarity, correlation

if TYPE_CHECKING:
    from torch import Tensor


@SIMILARITIES.register("pearson")
class Pearson(Similarity):
    """Pearson's correlation over pixels; undefined where a map is constant.

    ::

        type: pearson

    Source: Tetkova & Hansen, Robustness of visual explanations to common data augmentation methods, 2023.
    """

    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    source: ClassVar[str] = "Tetkova & Hansen 2023"

    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """See :meth:`Similarity.compared`."""
        return correlation(one.flatten(1), other.flatten(1), inside.flatten(1))
