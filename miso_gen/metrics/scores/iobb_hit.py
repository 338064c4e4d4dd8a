"""Whether the bright part of a map overlaps the truth by enough: IoBB and IoU hits."""

from __future__ import annotations

from abc import abstractmethod
from math import inf, nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field

from miso_gen.metrics.counts import Counts, at_threshold, count
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, extremes, finite, over, ratio
from miso_gen.recipe.parameters import UnitInterval

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def bright(map: Tensor, level: float = 0.5) -> Tensor:
    """Return where maps are above a share of their greatest value, (..., H, W) bool; nowhere if that is not above 0."""
    checked(map)
    most = extremes(map)[1].to(torch.float64)
    return over(map, _threshold(most, level)) & finite(map)[..., None, None]


def _threshold(most: Tensor, level: float) -> Tensor:
    return (most * level).where(most > 0, inf)  # nothing is above


class _Hit(Metric):
    level: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the greatest value above which a pixel is in the mask."""

    overlap: UnitInterval = 0.5
    """What the ratio must exceed; PYLON has 0.1, 0.25 and 0.5."""

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "positive"
    joint: ClassVar[bool] = True
    source: ClassVar[str] = "PYLON, released code"

    @abstractmethod
    def _ratio(self, counts: Counts) -> Tensor:
        """Return what must exceed the overlap, (...) float64."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        checked(map, truth)
        return self._hit(count(bright(map, self.level), truth)).where(finite(map), nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        most = torch.where(joint.by_truth.sum(-2) > 0, joint.values, -inf).amax(-1)
        return self._hit(at_threshold(joint, _threshold(most, self.level)))

    def _hit(self, counts: Counts) -> Tensor:
        hit = (self._ratio(counts) > self.overlap).to(torch.float64)  # nan exceeds nothing
        return hit.where(counts.tp + counts.fn > 0, nan)


@METRICS.register("iobb-hit")
class IobbHit(_Hit):
    """1 where the bright part of the map lies on the truth by more than ``overlap`` of itself, else 0: TP / (TP + FP).

    Bright is what is above ``level`` times the greatest value; a map without positive values has no bright part and scores 0.
    Without truth it is undefined. A single bright pixel on the truth is a hit.

    ::

        type: iobb-hit
        overlap: 0.25

    Source: PYLON, a metric of the released code; IoBB is the intersection over the box of what was detected.
    """

    empty: ClassVar[EmptyCases] = EmptyCases(full_truth=1.0, blank_map=0.0)

    def _ratio(self, counts: Counts) -> Tensor:
        return ratio(counts.tp, counts.tp + counts.fp)


@METRICS.register("iou-hit")
class IouHit(_Hit):
    """1 where the bright part of the map and the truth have an intersection over union above ``overlap``, else 0.

    Bright is what is above ``level`` times the greatest value; a map without positive values has no bright part and scores 0.
    Without truth it is undefined.

    ::

        type: iou-hit
        overlap: 0.25

    Source: PYLON, a metric of the released code.
    """

    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0)

    def _ratio(self, counts: Counts) -> Tensor:
        return ratio(counts.tp, counts.tp + counts.fp + counts.fn)
