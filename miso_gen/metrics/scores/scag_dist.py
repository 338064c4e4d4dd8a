"""Distance of two masks in their scagnostics."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked
from miso_gen.metrics.scagnostics import Scagnostics, mask_scagnostics

if TYPE_CHECKING:
    from torch import Tensor


def scag_dist(mask: Tensor, truth: Tensor) -> Tensor:
    """Return abs(1 - cosine) of the scagnostics of masks (..., H, W) bool and truth, (...) float64; see :class:`ScagDist`."""
    checked(mask, truth, binary=True)
    plane = mask.shape[-2:]
    masks, truths = (part.cpu().reshape(-1, *plane).numpy() for part in (mask, truth))
    known: tuple[Tensor, Scagnostics | None] | None = None  # a truth is often shared by many maps
    found = []
    for one, other in zip(masks, truths, strict=True):
        marks = torch.from_numpy(other)
        if known is None or not torch.equal(known[0], marks):
            known = marks, mask_scagnostics(other)
        found.append(_distance(mask_scagnostics(one) if known[1] else None, known[1]))
    return torch.tensor(found, dtype=torch.float64, device=mask.device).reshape(mask.shape[:-2])


def _distance(one: Scagnostics | None, truth: Scagnostics | None) -> float:
    if truth is None:
        return nan
    if one is None:
        return 1.0
    a, b = np.array(one), np.array(truth)
    return float(abs(1 - a @ b / np.sqrt((a @ a) * (b @ b))))


@METRICS.register("scag-dist")
class ScagDist(Metric):
    """Distance of the shapes of two masks: abs(1 - cosine) of their nine scagnostics, rows being x and columns y.

    Each mask is scaled to a square by itself: neither place nor size counts. A mask of fewer than three pixels off a line is no
    shape: it scores 1, as a blank one does; such truth is undefined. The time follows the size of the image, not the number of
    pixels in the mask.

    ::

        type: scag-dist

    Source: MISO; Wilkinson et al., Graph-theoretic scagnostics, 2005. MISO has no rule for truth without a shape.
    """

    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "binary"
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=1.0)
    source: ClassVar[str] = "MISO; Wilkinson et al. 2005"

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return scag_dist(map, truth)
