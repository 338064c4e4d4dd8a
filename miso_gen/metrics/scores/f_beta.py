"""F-measure of a mask, and of a map over thresholds."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.curves import AdaptiveMetric, MaxMetric, MeanMetric
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from torch import Tensor


def f_beta(mask: Tensor, truth: Tensor, beta_squared: float = 0.3) -> Tensor:
    """Return (1 + b) TP / ((1 + b) TP + b FN + FP), b = beta^2, of masks (..., H, W) bool, (...) float64; see :class:`FBeta`."""
    return FBeta(beta_squared=beta_squared).from_counts(count(mask, truth))


@METRICS.register("f-beta")
class FBeta(CountMetric):
    """F-measure: (1 + b) TP / ((1 + b) TP + b FN + FP), b = beta^2. Below 1, precision counts more than recall.

    Undefined without truth; a blank mask scores 0.

    ::

        type: f-beta
        beta_squared: 0.3

    Source: MISO; Achanta et al., Frequency-tuned salient region detection, 2009.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0)
    chance: ClassVar[str | None] = "(1 + b) p / (1 + 2 b p), b = beta^2"
    source: ClassVar[str] = "MISO; Achanta et al. 2009"

    beta_squared: PositiveFloat = 0.3
    """Weight of recall against precision, beta^2."""

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return (1.0 + self.beta_squared) * share / (1.0 + 2.0 * self.beta_squared * share)

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        tp, fp, fn = (part.to(torch.float64) for part in (counts.tp, counts.fp, counts.fn))
        hits = (1.0 + self.beta_squared) * tp
        return ratio(hits, hits + self.beta_squared * fn + fp).where(counts.tp + counts.fn > 0, nan)


@METRICS.register("adaptive-f-beta")
class AdaptiveFBeta(AdaptiveMetric):
    """F-measure at a threshold that adapts to the map: ``map >= min(2 mean, 1)``.

    ::

        type: adaptive-f-beta

    Source: Achanta et al., Frequency-tuned salient region detection, 2009 (the threshold).
    """

    measure: ClassVar[type[CountMetric]] = FBeta
    source: ClassVar[str] = "Achanta et al. 2009"

    beta_squared: PositiveFloat = 0.3
    """Weight of recall against precision, beta^2."""

    def counted(self) -> CountMetric:
        """See :meth:`CurveMetric.counted`."""
        return FBeta(beta_squared=self.beta_squared)


@METRICS.register("mean-f-beta")
class MeanFBeta(MeanMetric):
    """Mean of the F-measure over 256 thresholds.

    ::

        type: mean-f-beta

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = FBeta
    source: ClassVar[str] = "Borji et al. 2015"

    beta_squared: PositiveFloat = 0.3
    """Weight of recall against precision, beta^2."""

    def counted(self) -> CountMetric:
        """See :meth:`CurveMetric.counted`."""
        return FBeta(beta_squared=self.beta_squared)


@METRICS.register("max-f-beta")
class MaxFBeta(MaxMetric):
    """Greatest F-measure over 256 thresholds.

    ::

        type: max-f-beta

    Source: Borji et al., Salient object detection: a benchmark, 2015 (the thresholds).
    """

    measure: ClassVar[type[CountMetric]] = FBeta
    source: ClassVar[str] = "Borji et al. 2015"

    beta_squared: PositiveFloat = 0.3
    """Weight of recall against precision, beta^2."""

    def counted(self) -> CountMetric:
        """See :meth:`CurveMetric.counted`."""
        return FBeta(beta_squared=self.beta_squared)
