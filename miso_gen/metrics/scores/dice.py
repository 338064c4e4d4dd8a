"""Dice coefficient of a mask, and of a map over thresholds."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.curves import AdaptiveMetric, MaxMetric, MeanMetric
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def dice(mask: Tensor, truth: Tensor) -> Tensor:
    """Return 2 TP / (2 TP + FP + FN) of masks (..., H, W) bool, (...) float64; nan without truth, see :class:`Dice`."""
    return Dice().from_counts(count(mask, truth))


@METRICS.register("dice")
class Dice(CountMetric):
    """Dice coefficient, also called F1: 2 TP / (2 TP + FP + FN).

    Without truth it is undefined; a blank mask scores 0.

    ::

        type: dice

    Source: MISO; Dice, Measures of the amount of ecologic association between species, 1945.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=nan, blank_map=0.0)
    chance: ClassVar[str | None] = "p / (1/2 + p)"
    source: ClassVar[str] = "MISO; Dice 1945"

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return share / (0.5 + share)

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        defined = counts.tp + counts.fn > 0
        return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn).where(defined, nan)


@METRICS.register("adaptive-dice")
class AdaptiveDice(AdaptiveMetric):
    """Dice coefficient at a threshold that adapts to the map: ``map >= min(2 mean, 1)``.

    ::

        type: adaptive-dice

    Source: Achanta et al., Frequency-tuned salient region detection, 2009 (the threshold).
    """

    measure: ClassVar[type[CountMetric]] = Dice
    source: ClassVar[str] = "Achanta et al. 2009"


@METRICS.register("mean-dice")
class MeanDice(MeanMetric):
    """Mean of the Dice coefficient over 256 thresholds.

    ::

        type: mean-dice

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = Dice
    source: ClassVar[str] = "Borji et al. 2015"


@METRICS.register("max-dice")
class MaxDice(MaxMetric):
    """Greatest Dice coefficient over 256 thresholds.

    ::

        type: max-dice

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = Dice
    source: ClassVar[str] = "Borji et al. 2015"
