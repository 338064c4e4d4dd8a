"""Sensitivity of a mask: recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def sensitivity(mask: Tensor, truth: Tensor) -> Tensor:
    """Return TP / (TP + FN) of masks (..., H, W) bool, (...) float64; nan without truth, see :class:`Sensitivity`."""
    return Sensitivity().from_counts(count(mask, truth))


@METRICS.register("sensitivity")
class Sensitivity(CountMetric):
    """Share of the evidence that is in the mask, also called recall: TP / (TP + FN).

    Undefined without truth; a full mask scores 1.

    ::

        type: sensitivity

    Source: MISO.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0, constant_map=1.0)
    chance: ClassVar[str | None] = "0.5"
    source: ClassVar[str] = "MISO"

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        return ratio(counts.tp, counts.tp + counts.fn)
