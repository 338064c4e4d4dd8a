"""Overlap coefficient of a mask."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import METRICS, CountMetric, Direction, EmptyCases
from miso_gen.metrics.planes import ratio

if TYPE_CHECKING:
    from torch import Tensor


def overlap(mask: Tensor, truth: Tensor) -> Tensor:
    """Return TP / min(TP + FP, TP + FN) of masks (..., H, W) bool, (...) float64; nan without truth, see :class:`Overlap`."""
    return Overlap().from_counts(count(mask, truth))


@METRICS.register("overlap")
class Overlap(CountMetric):
    """Overlap coefficient: TP over the smaller of mask and truth.

    A single pixel of evidence, and a mask of everything, score 1 each: read it beside another metric. Undefined without truth; a
    blank mask scores 0.

    ::

        type: overlap

    Source: MISO; Szymkiewicz 1934, Simpson 1943.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0, blank_map=0.0, constant_map=1.0)
    chance: ClassVar[str | None] = "max(1/2, p)"
    source: ClassVar[str] = "MISO; Szymkiewicz 1934"

    def chance_level(self, share: float) -> float | None:
        """See :meth:`Metric.chance_level`."""
        return max(0.5, share)

    def from_counts(self, counts: Counts) -> Tensor:
        """See :meth:`CountMetric.from_counts`."""
        least = torch.minimum(counts.tp + counts.fp, counts.tp + counts.fn)
        return ratio(counts.tp, least.clamp(min=1)).where(counts.tp + counts.fn > 0, nan)
