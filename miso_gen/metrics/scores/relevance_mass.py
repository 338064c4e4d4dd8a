"""Relevance mass accuracy: how much of a map lies on evidence."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, extremes, number, total, total_on

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def relevance_mass(map: Tensor, truth: Tensor) -> Tensor:
    """Return sum of map on evidence / sum of map, of maps (..., H, W), (...) float64; see :class:`RelevanceMass`."""
    checked(map, truth)
    least, most = extremes(map)
    inside, every = total_on(map, truth), total(map)
    return (inside / every).where((least >= 0) & torch.isfinite(most) & (number(truth) > 0), nan)


@METRICS.register("relevance-mass")
class RelevanceMass(Metric):
    """Relevance mass accuracy: the sum of the map over the evidence, as a share of its sum.

    Undefined without truth, where the map is 0 everywhere, and where it has negative values: say what becomes of them.

    ::

        type: relevance-mass

    Source: Arras et al., CLEVR-XAI, 2022.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "positive"
    joint: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0, blank_map=nan)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "Arras et al. 2022"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return relevance_mass(map, truth)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        inside, outside = ((part * joint.values).sum(-1) for part in (joint.evidence, joint.background))
        least = torch.where(joint.by_truth.sum(-2) > 0, joint.values, torch.inf).amin(-1)
        defined = (joint.evidence.sum(-1) > 0) & (least >= 0)
        return (inside / (inside + outside)).where(defined, nan)
