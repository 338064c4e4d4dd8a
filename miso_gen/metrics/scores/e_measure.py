"""E-measure (enhanced alignment) of a mask, and of a map over thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import torch

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.curves import AdaptiveMetric, MaxMetric, MeanMetric
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases

if TYPE_CHECKING:
    from torch import Tensor

_MISO_THRESHOLDS: Final = 255


def e_measure(mask: Tensor, truth: Tensor) -> Tensor:
    """Return the E-measure of masks (..., H, W) bool, (...) float64; see :class:`EMeasure`."""
    return EMeasure().from_counts(count(mask, truth))


def e_measure_curve(mask: Tensor, truth: Tensor) -> Tensor:
    """Return what MISO averages over images, and takes the greatest value of, for masks (..., H, W) bool: (..., 255) float64.

    Its thresholds go from 0 to almost 1. A mask of 0 and 1 reaches the first one everywhere, and any other as it is.
    """
    counts = count(mask, truth)
    return torch.stack([_aligned(_everything(counts)), *[_aligned(counts)] * (_MISO_THRESHOLDS - 1)], -1)


def _size(counts: Counts) -> Tensor:
    return counts.tp + counts.fp + counts.fn + counts.tn


def _everything(counts: Counts) -> Counts:
    """Return the counts of a mask of all pixels."""
    zero = torch.zeros_like(counts.tp)
    return Counts(counts.tp + counts.fn, counts.fp + counts.tn, zero, zero)


def _aligned(counts: Counts) -> Tensor:
    """Return the sum over pixels of (a + 1)^2 / 4, a = 2 f g / (f^2 + g^2), over one less than the pixels.

    f and g are mask and truth without their means; a is 0 where both are 0. One pixel is undefined.
    """
    size = _size(counts)
    f_mean, g_mean = ((counts.tp + other).to(torch.float64) / size for other in (counts.fp, counts.fn))
    total = torch.zeros_like(f_mean)
    for number, in_mask, in_truth in ((counts.tp, 1, 1), (counts.fp, 1, 0), (counts.fn, 0, 1), (counts.tn, 0, 0)):
        f, g = in_mask - f_mean, in_truth - g_mean
        squares = f * f + g * g
        aligned = (2 * f * g / squares).where(squares > 0, 0.0)
        total = total + number * (aligned + 1).square() / 4
    return (total / (size - 1)).where(size > 1, torch.nan)


@METRICS.register("e-measure")
class EMeasure(CountMetric):
    """Enhanced-alignment measure of a mask: how far mask and truth leave their means to the same side.

    Sum over pixels of (a + 1)^2 / 4, over N - 1, with a = 2 f g / (f^2 + g^2), f and g mask and truth without their means, and
    N the number of pixels. By that divisor it is N / (N - 1) for the truth itself, a little above 1. A blank or full mask scores
    N / (4 (N - 1)). Where the truth is full, it is the number of pixels in the mask over N - 1. Undefined without truth.

    ::

        type: e-measure

    Source: MISO; Fan et al., Enhanced-alignment measure for binary foreground map evaluation, 2018 (full truth).
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    empty: ClassVar[EmptyCases] = EmptyCases()
    chance: ClassVar[str | None] = "(1 + p a^2 + (1 - p) b^2) / 4, a = (1 - p) / (1/4 + (1 - p)^2), b = p / (1/4 + p^2)"
    source: ClassVar[str] = "MISO; Fan et al. 2018"

    @property
    def best(self) -> float | None:
        """None: N / (N - 1) depends on the number of pixels."""
        return None

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        a, b = (part / (0.25 + part * part) for part in (1.0 - share, share))
        return (1.0 + share * a * a + (1.0 - share) * b * b) / 4.0

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        size, evidence = _size(counts), counts.tp + counts.fn
        full = counts.tp.to(torch.float64) / (size - 1)
        found = torch.where(evidence == size, full, _aligned(counts))
        return found.where((evidence > 0) & (size > 1), torch.nan)


@METRICS.register("e-measure-legacy")
class EMeasureLegacy(EMeasure):
    """E-measure of a mask, but not less than that of a full mask, which the lowest of MISO's thresholds gives.

    With several images, MISO takes the greatest value of the mean curve: see :func:`e_measure_curve`. Truth of nothing, or of
    everything, counts as truth without its mean, 0 everywhere.

    ::

        type: e-measure-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    chance: ClassVar[str | None] = None
    source: ClassVar[str] = "MISO, code"

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return None

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return torch.maximum(_aligned(counts), _aligned(_everything(counts)))


@METRICS.register("adaptive-e-measure")
class AdaptiveEMeasure(AdaptiveMetric):
    """E-measure at a threshold that adapts to the map: ``map >= min(2 mean, 1)``.

    ::

        type: adaptive-e-measure

    Source: Fan et al., Enhanced-alignment measure for binary foreground map evaluation, 2018.
    """

    measure: ClassVar[type[CountMetric]] = EMeasure
    range: ClassVar[tuple[float, float]] = EMeasure.range
    source: ClassVar[str] = "Fan et al. 2018"

    @property
    def best(self) -> float | None:
        """None: N / (N - 1) depends on the number of pixels."""
        return None


@METRICS.register("mean-e-measure")
class MeanEMeasure(MeanMetric):
    """Mean of the E-measure over 256 thresholds.

    ::

        type: mean-e-measure

    Source: Fan et al., Enhanced-alignment measure for binary foreground map evaluation, 2018.
    """

    measure: ClassVar[type[CountMetric]] = EMeasure
    range: ClassVar[tuple[float, float]] = EMeasure.range
    source: ClassVar[str] = "Fan et al. 2018"


@METRICS.register("max-e-measure")
class MaxEMeasure(MaxMetric):
    """Greatest E-measure over 256 thresholds.

    ::

        type: max-e-measure

    Source: Fan et al., Enhanced-alignment measure for binary foreground map evaluation, 2018.
    """

    measure: ClassVar[type[CountMetric]] = EMeasure
    range: ClassVar[tuple[float, float]] = EMeasure.range
    source: ClassVar[str] = "Fan et al. 2018"

    @property
    def best(self) -> float | None:
        """None: N / (N - 1) depends on the number of pixels."""
        return None
