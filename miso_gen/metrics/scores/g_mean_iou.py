"""Intersection over union at the threshold at which image scores tell the classes apart best."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.errors import InputError
from miso_gen.metrics.counts import Counts, at_threshold, count
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, finite, over, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def g_mean_threshold(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the threshold of the greatest geometric mean of sensitivity and specificity, of each class, (...) float64.

    An image is called positive where its score is at least the threshold. Thresholds are the scores themselves; on ties the
    least is taken. A class whose images have one label only has none: nan.

    Args:
        scores: (N, ...), of N images.
        labels: (N, ...) bool.

    Raises:
        InputError: Shapes or types are other ones, or a score is nan.

    Source: PYLON, threshold of the IoU.
    """
    if scores.shape != labels.shape or not scores.ndim or labels.dtype != torch.bool:
        want = tuple(scores.shape)
        raise InputError(f"labels must be bool and of the shape of scores, {want}, got {labels.dtype} of {tuple(labels.shape)}.")
    if bool(scores.isnan().any()):
        raise InputError("scores must be numbers, got nan. Leave out images without a score.")
    flat, positive = (part.reshape(len(part), scores.shape[1:].numel()) for part in (scores.to(torch.float64), labels))
    found = [_g_mean_threshold(flat[:, k], positive[:, k]) for k in range(flat.shape[1])]
    return torch.tensor(found, dtype=torch.float64, device=scores.device).reshape(scores.shape[1:])


def _g_mean_threshold(scores: Tensor, labels: Tensor) -> float:
    if not len(labels) or bool(labels.all()) or not bool(labels.any()):
        return nan
    thresholds = torch.unique(scores)  # increasing
    hits, passes = scores[labels].sort().values, scores[~labels].sort().values
    tp = len(hits) - torch.searchsorted(hits, thresholds)
    tn = torch.searchsorted(passes, thresholds)
    product = tp * tn  # whole numbers: ties are ties
    return float(thresholds[product == product.max()][0])


def iou_at(map: Tensor, truth: Tensor, threshold: float) -> Tensor:
    """Return the IoU of maps (..., H, W), True from a threshold on, with truth (..., H, W) bool, (...) float64.

    See :class:`GMeanIou`.
    """
    checked(map, truth)
    below = _below(torch.full(map.shape[:-2], threshold, dtype=torch.float64, device=map.device))
    return _iou(count(over(map, below), truth)).where(finite(map), nan)


def _below(threshold: Tensor) -> Tensor:
    """Return the number before a threshold: to be above it is to reach the threshold."""
    return torch.nextafter(threshold, torch.full_like(threshold, -inf))


def _iou(counts: Counts) -> Tensor:
    return ratio(counts.tp, counts.tp + counts.fp + counts.fn).where(counts.tp + counts.fn > 0, nan)


@METRICS.register("g-mean-iou")
class GMeanIou(Metric):
    """IoU of the map binarised at the threshold of its class: pixels from the threshold on, that one included.

    The threshold is that of the greatest geometric mean of sensitivity and specificity of the image scores of the class, on
    validation data: :func:`g_mean_threshold`. It applies to the map where the image score is its greatest pixel. For maps
    that are no heatmaps of such a network, as those of gradients, there is none.

    Without truth it is undefined; a blank mask scores 0.

    ::

        type: g-mean-iou
        threshold: 0.35

    Source: PYLON, IoU.
    """

    threshold: float = 0.5
    """Of the class, on the scale of the map."""

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    joint: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases()
    source: ClassVar[str] = "PYLON, IoU"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return iou_at(map, truth, self.threshold)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        threshold = torch.full(joint.counts.shape[:-3], self.threshold, dtype=torch.float64, device=joint.counts.device)
        return _iou(at_threshold(joint, _below(threshold)))
