"""Specificity of a mask."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def specificity(mask: Tensor, truth: Tensor) -> Tensor:
    """Return TN / (TN + FP) of masks (..., H, W) bool, (...) float64; nan where the truth is full, see :class:`Specificity`."""
    return Specificity().from_counts(count(mask, truth))


@METRICS.register("specificity")
class Specificity(CountMetric):
    """Share of the pixels without evidence that are not in the mask: TN / (TN + FP).

    Undefined where the truth is full; a blank mask scores 1.

    ::

        type: specificity

    Source: MISO.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None, full_truth=nan, blank_map=1.0, constant_map=0.0)
    chance: ClassVar[str | None] = "0.5"
    source: ClassVar[str] = "MISO"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return ratio(counts.tn, counts.tn + counts.fp)
