"""Area under the receiver operating characteristic over pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.ranks import RankMetric, Ranks

if TYPE_CHECKING:
    from torch import Tensor


def auroc(map: Tensor, truth: Tensor) -> Tensor:
    """Return the area under the ROC curve of maps (..., H, W), (...) float64; see :class:`Auroc`."""
    return Auroc().score(map, truth)


@METRICS.register("auroc")
class Auroc(RankMetric):
    """Area under the ROC curve over the pixels of a map: how often a pixel with evidence is above one without, ties half.

    Undefined where the truth is empty or full. A constant map scores 0.5.

    ::

        type: auroc

    Source: Hanley & McNeil, The meaning and use of the area under a ROC curve, 1982.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=torch.nan, blank_map=0.5, constant_map=0.5)
    chance: ClassVar[str | None] = "0.5"
    source: ClassVar[str] = "Hanley & McNeil 1982"

    def from_ranks(self, ranks: Ranks) -> Tensor:
        """See :meth:`RankMetric.from_ranks`."""
        pairs = ranks.evidence.sum(-1) * ranks.background[..., 0]
        return (ranks.evidence * (ranks.below + 0.5 * ranks.equal)).sum(-1) / pairs
