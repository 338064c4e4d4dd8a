"""Jaccard index of a mask, and of a map over thresholds."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.curves import AdaptiveMetric, MaxMetric, MeanMetric
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def jaccard(mask: Tensor, truth: Tensor) -> Tensor:
    """Return TP / (TP + FP + FN) of masks (..., H, W) bool, (...) float64; nan without truth, see :class:`Jaccard`."""
    return Jaccard().from_counts(count(mask, truth))


@METRICS.register("jaccard")
class Jaccard(CountMetric):
    """Jaccard index, also called intersection over union: TP / (TP + FP + FN).

    Undefined without truth; a blank mask scores 0.

    ::

        type: jaccard

    Source: MISO; Jaccard 1912.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0)
    chance: ClassVar[str | None] = "p / (1 + p)"
    source: ClassVar[str] = "MISO; Jaccard 1912"

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return share / (1.0 + share)

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        defined = counts.tp + counts.fn > 0
        return ratio(counts.tp, counts.tp + counts.fp + counts.fn).where(defined, nan)


@METRICS.register("adaptive-jaccard")
class AdaptiveJaccard(AdaptiveMetric):
    """Jaccard index at a threshold that adapts to the map: ``map >= min(2 mean, 1)``.

    ::

        type: adaptive-jaccard

    Source: Achanta et al., Frequency-tuned salient region detection, 2009 (the threshold).
    """

    measure: ClassVar[type[CountMetric]] = Jaccard
    source: ClassVar[str] = "Achanta et al. 2009"


@METRICS.register("mean-jaccard")
class MeanJaccard(MeanMetric):
    """Mean of the Jaccard index over 256 thresholds.

    ::

        type: mean-jaccard

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = Jaccard
    source: ClassVar[str] = "Borji et al. 2015"


@METRICS.register("max-jaccard")
class MaxJaccard(MaxMetric):
    """Greatest Jaccard index over 256 thresholds.

    ::

        type: max-jaccard

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = Jaccard
    source: ClassVar[str] = "Borji et al. 2015"
