"""Point localisation accuracy: whether the greatest pixel of a map lies in a box, or on the truth."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import interpolate

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, extremes, finite

if TYPE_CHECKING:
    from torch import Tensor


def point_localization(map: Tensor, truth: Tensor) -> Tensor:
    """Return whether the greatest pixel of maps (..., H, W) is on the truth (..., H, W) bool, (...) float64 of 0 and 1.

    See :class:`PointLocalization`.
    """
    checked(map, truth)
    flat = map.flatten(-2)
    least, most = extremes(map)
    first = flat.argmax(-1)  # the first in row-major order
    hit = truth.flatten(-2).gather(-1, first[..., None])[..., 0] & (least < most)
    return hit.to(torch.float64).where(truth.flatten(-2).any(-1) & finite(map), nan)


def greatest_on_truth(map: Tensor, truth: Tensor) -> Tensor:
    """Return the share of the greatest pixels of maps (..., H, W) that are on the truth (..., H, W) bool, (...) float64."""
    checked(map, truth)
    greatest = map == extremes(map)[1][..., None, None]
    share = (greatest & truth).sum((-2, -1)).to(torch.float64) / greatest.sum((-2, -1))
    return share.where(truth.flatten(-2).any(-1) & finite(map), nan)


def resized(heatmap: Tensor, height: int, width: int) -> Tensor:
    """Return maps (..., h, w) bilinearly resized to (..., height, width), as PYLON does (``align_corners=False``).

    Give logits, not their sigmoid: the order is the same, and saturation makes no ties.
    """
    flat = heatmap.reshape(-1, 1, *heatmap.shape[-2:])
    return interpolate(flat, (height, width), mode="bilinear", align_corners=False).reshape(*heatmap.shape[:-2], height, width)


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return the pixels in any of some boxes, (height, width) bool: x <= column <= x + w and y <= row <= y + h.

    Args:
        boxes: (K, 4), x, y, w, h of each.
        height: Of the image, px.
        width: Of the image, px.

    Raises:
        InputError: Boxes have another shape.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes must have shape (K, 4), got {tuple(boxes.shape)}.")
    x, y, w, h = (side[:, None] for side in boxes.T)
    col, row = (torch.arange(size, device=boxes.device) for size in (width, height))
    inside = ((y <= row) & (row <= y + h))[:, :, None] & ((x <= col) & (col <= x + w))[:, None]
    return inside.any(0)


@METRICS.register("point-localization")
class PointLocalization(Metric):
    """1 where the greatest pixel of the map, the first in rows on ties, is on the truth, else 0.

    The mean over images is the point localisation accuracy; PYLON takes it class by class over images with boxes of the class,
    see :func:`~miso_gen.metrics.pooled.class_means`. A constant map points nowhere and scores 0. Without truth it is undefined.

    ::

        type: point-localization

    Source: PYLON, point localisation accuracy.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0, constant_map=0.0)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "PYLON, point localisation accuracy"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return point_localization(map, truth)


@METRICS.register("point-localization-legacy")
class PointLocalizationLegacy(Metric):
    """Share of the greatest pixels of the map that are on the truth: another score than ``point-localization`` on ties only.

    A constant map scores p. Without truth it is undefined.

    ::

        type: point-localization-legacy

    Source: PYLON, an early release of the code.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    empty: ClassVar[EmptyCases] = EmptyCases()
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "PYLON, early code"
    legacy: ClassVar[bool] = True

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return greatest_on_truth(map, truth)
