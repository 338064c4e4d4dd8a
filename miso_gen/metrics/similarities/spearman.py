"""Spearman's rank correlation of two maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.similarity import SIMILARITIES, Similarity, correlation

if TYPE_CHECKING:
    from torch import Tensor


@SIMILARITIES.register("spearman")
class Spearman(Similarity):
    """Pearson's correlation of the ranks of pixels, equal ones sharing the mean of theirs; undefined where a map is constant.

    ::

        type: spearman

    Source: Adebayo et al., Sanity checks for saliency maps, 2018; Tetkova & Hansen 2023.
    """

    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    source: ClassVar[str] = "Adebayo et al. 2018; Tetkova & Hansen 2023"

    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """See :meth:`Similarity.compared`."""
        counts = inside.flatten(1)
        return correlation(_ranks(one.flatten(1), counts), _ranks(other.flatten(1), counts), counts)


def _ranks(values: Tensor, inside: Tensor) -> Tensor:
    """Return the mean rank of each value among those inside, (n, N) float64."""
    last = values.where(inside, torch.inf).contiguous()
    ordered = last.sort(1).values
    below, upto = (torch.searchsorted(ordered, last, side=side) for side in ("left", "right"))
    return (below + upto).to(torch.float64) / 2
