"""Share of pixels where a mask and truth differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def difference(mask: Tensor, truth: Tensor) -> Tensor:
    """Return (FP + FN) / pixels of masks (..., H, W) bool, (...) float64; see :class:`Difference`."""
    return Difference().from_counts(count(mask, truth))


@METRICS.register("difference")
class Difference(CountMetric):
    """Share of the pixels where mask and truth differ: (FP + FN) / pixels. Always defined.

    ::

        type: difference

    Source: MISO.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    chance: ClassVar[str | None] = "0.5"
    source: ClassVar[str] = "MISO"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return ratio(counts.fp + counts.fn, counts.tp + counts.fp + counts.fn + counts.tn)
