"""The IoU of a mask as it was once printed: the sum of both areas below, in place of the union."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def iou_sum_denominator(mask: Tensor, truth: Tensor) -> Tensor:
    """Return TP / (2 TP + FP + FN) of masks (..., H, W) bool, (...) float64; see :class:`IouSumDenominator`."""
    return IouSumDenominator().from_counts(count(mask, truth))


@METRICS.register("iou-sum-denominator")
class IouSumDenominator(CountMetric):
    """Intersection over the sum of both areas: TP / (2 TP + FP + FN), half the Dice coefficient; of an IoU J it is J / (1 + J).

    Without truth it is undefined; a blank mask scores 0.

    ::

        type: iou-sum-denominator

    Source: You, eq. 2.22 as printed. The code behind it computes the IoU of pooled images instead:
    ``MapScore("jaccard", binarize="mean-std", average="pooled")``.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 0.5)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0)
    chance: ClassVar[str | None] = "p / (1 + 2 p)"
    source: ClassVar[str] = "You, eq. 2.22"
    legacy: ClassVar[bool] = True

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return share / (1 + 2 * share)

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        lower = 2 * counts.tp + counts.fp + counts.fn
        return ratio(counts.tp, lower).where(counts.tp + counts.fn > 0, nan)
