"""Average precision over pixels."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.ranks import RankMetric, Ranks

if TYPE_CHECKING:
    from torch import Tensor


def average_precision(map: Tensor, truth: Tensor) -> Tensor:
    """Return the average precision of maps (..., H, W), (...) float64; see :class:`AveragePrecision`."""
    return AveragePrecision().score(map, truth)


@METRICS.register("average-precision")
class AveragePrecision(RankMetric):
    """Average precision over the pixels of a map: the mean of precision, over steps of recall.

    The sum over distinct values, from the greatest, of the gain in recall times precision there, without interpolation; pixels
    of one value come together. Undefined without truth. A constant map scores the share of evidence.

    ::

        type: average-precision

    Source: Zhu, Recall, precision and average precision, 2004; the sum is that of scikit-learn.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "Zhu 2004"

    def from_ranks(self, ranks: Ranks) -> Tensor:
        """See :meth:`RankMetric.from_ranks`."""
        total = ranks.evidence.sum(-1, keepdim=True)
        hits = total - ranks.evidence.cumsum(-1) + ranks.evidence
        chosen = (hits + ranks.background - ranks.below).clamp_(min=1.0)
        return ((ranks.evidence * hits / chosen).sum(-1) / total[..., 0]).where(total[..., 0] > 0, nan)
