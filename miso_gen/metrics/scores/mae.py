"""Mean absolute error of a map."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, distance, finite

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def mae(map: Tensor, target: Tensor) -> Tensor:
    """Return the mean of abs(map - target) of maps (..., H, W), (...) float64; see :class:`Mae`.

    Args:
        map: (..., H, W) floating.
        target: (..., H, W), bool for 0 and 1, or floating, such as the confidence that a patch should have.
    """
    checked(map, target, mask=not target.is_floating_point())
    return distance(map, target).where(finite(map), torch.nan)


@METRICS.register("mae")
class Mae(Metric):
    """Mean absolute error: the mean of abs(map - truth), evidence being 1.

    Raw values are compared: a map that is not in [0, 1] may score above 1.

    ::

        type: mae

    Source: MISO; Perazzi et al., Saliency filters, 2012.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, inf)
    takes: ClassVar[Takes] = "continuous"
    joint: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    chance: ClassVar[str | None] = "0.5"
    source: ClassVar[str] = "MISO; Perazzi et al. 2012"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        checked(map, truth)
        return mae(map, truth)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        apart = joint.background * joint.values.abs() + joint.evidence * (joint.values - 1.0).abs()
        return apart.sum(-1) / joint.size
