"""Scores of a map over thresholds: at one that adapts to it, at the best one, and on average.

Salient-object detection rounds a map to 256 levels k / 255 and takes each as a threshold, a pixel being in the mask where it
reaches it. So do these.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.counts import Counts, count
from miso_gen.metrics.interfaces import CountMetric, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.joint import joint_histogram
from miso_gen.metrics.planes import checked, extremes, mean, reaches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from miso_gen.metrics.joint import Joint

LEVELS = 256  #: levels that a map is rounded to


def in_unit(map: Tensor) -> Tensor:
    """Return which maps (..., H, W) have values in [0, 1] only, (...) bool."""
    least, most = extremes(map)
    return (least >= 0) & (most <= 1)


def counts_by_level(joint: Joint) -> Counts:
    """Return the counts of the masks ``map >= level``, from the lowest level on, each (..., L) int64."""
    fp, tp = (part.flip(-1).cumsum(-1).flip(-1) for part in (joint.background, joint.evidence))
    return Counts(tp, fp, tp[..., :1] - tp, fp[..., :1] - fp)


class CurveMetric(Metric):
    """A score of masks, over the 256 thresholds of a map in [0, 1]; nan for a map that leaves the range."""

    measure: ClassVar[type[CountMetric]]  #: the score of masks
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "unit"
    joint: ClassVar[bool] = True
    levels: ClassVar[int | None] = LEVELS
    empty: ClassVar[EmptyCases] = EmptyCases()

    def counted(self) -> CountMetric:
        """Return the score of masks."""
        return self.measure()

    def curve(self, map: Tensor, truth: Tensor) -> Tensor:
        """Return the score at each threshold k / 255, from 0 on, (..., 256) float64.

        The mean over images of this curve is what papers take the greatest value of.
        """
        checked(map, truth)
        known = in_unit(map)
        found = self.curve_of(joint_histogram(map.where(known[..., None, None], 0.0), truth, levels=LEVELS))
        return found.where(known[..., None], torch.nan)

    def curve_of(self, joint: Joint) -> Tensor:
        """Return the curve of a joint histogram of 256 levels."""
        if joint.values.shape[-1] != LEVELS:
            raise InputError(f"joint histogram must have {LEVELS} levels, got {joint.values.shape[-1]}. Use levels={LEVELS}.")
        return self.counted().from_counts(counts_by_level(joint))


class WholeCurveMetric(CurveMetric):
    """One number made of the curve."""

    @abstractmethod
    def of_curve(self, curve: Tensor) -> Tensor:
        """Return the score, (...) float64, of curves (..., 256)."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return self.of_curve(self.curve(map, truth))

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        return self.of_curve(self.curve_of(joint))


class MeanMetric(WholeCurveMetric):
    """The mean of the curve."""

    @property
    def best(self) -> float | None:
        """None: at threshold 0 every map is full, so that the mean of the truth itself depends on its share."""
        return None

    def of_curve(self, curve: Tensor) -> Tensor:
        """See :meth:`WholeCurveMetric.of_curve`."""
        return curve.mean(-1)


class MaxMetric(WholeCurveMetric):
    """The greatest value of the curve of each map."""

    def of_curve(self, curve: Tensor) -> Tensor:
        """See :meth:`WholeCurveMetric.of_curve`."""
        return curve.amax(-1)


class AdaptiveMetric(CurveMetric):
    """The score of the mask ``map >= min(2 mean, 1)``."""

    levels: ClassVar[int | None] = None

    @property
    def best(self) -> float | None:
        """The greatest value: the truth itself is 1 where it is evidence, and so never below the threshold."""
        return self.range[1]

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return adaptive_scores((self,), map, truth)[0]

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        reached = joint.values >= _adaptive(joint.mean)[..., None]
        fp, tp = ((part * reached).sum(-1) for part in (joint.background, joint.evidence))
        counts = Counts(tp, fp, joint.evidence.sum(-1) - tp, joint.background.sum(-1) - fp)
        return self.counted().from_counts(counts)


def adaptive_scores(metrics: Sequence[AdaptiveMetric], map: Tensor, truth: Tensor) -> list[Tensor]:
    """Return the score (...) float64 of each metric, counting once; nan for a map that leaves [0, 1].

    Args:
        metrics: The metrics.
        map: (..., H, W) floating.
        truth: (..., H, W) bool.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked(map, truth)
    known = in_unit(map)
    counts = count(reaches(map, _adaptive(mean(map))), truth)
    return [metric.counted().from_counts(counts).where(known, torch.nan) for metric in metrics]


def _adaptive(means: Tensor) -> Tensor:
    return (2.0 * means).clamp(max=1.0)
