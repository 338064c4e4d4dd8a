"""Pointing game over many objects: the share of them that as many marks of the map hit."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.marks import marks
from miso_gen.metrics.object_metrics import MarkMetric
from miso_gen.metrics.objects import checked_whole, objects
from miso_gen.metrics.planes import finite, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.marks import Marks
    from miso_gen.metrics.objects import Objects


def object_pointing_game(map: Tensor, instances: Tensor, distance: int = 8) -> Tensor:
    """Return the share of the objects of instances (..., H, W) that the first marks of maps (..., H, W) hit, (...) float64.

    See :class:`ObjectPointingGame`; nan without objects and for maps that are not finite.
    """
    checked_whole(map, instances)
    return _hit(map, instances, objects(instances), marks(map, distance))


def _hit(map: Tensor, instances: Tensor, found: Objects, points: Marks) -> Tensor:
    counts = found.counts()
    order = points.score.argsort(descending=True, stable=True)
    order = order[points.map[order].argsort(stable=True)]  # by map, then from the greatest, then by rows
    by_map = torch.bincount(points.map, minlength=counts.numel())
    rank = torch.arange(len(order)) - (by_map.cumsum(0) - by_map)[points.map[order]]
    taken = order[rank < counts.flatten().cpu()[points.map[order]]]
    places = tuple(axis[taken].to(instances.device) for axis in (points.map, points.row, points.col))
    ids = instances.reshape(-1, *instances.shape[-2:])[places].to(torch.int64)
    hit = torch.unique(torch.stack((places[0], ids))[:, ids > 0], dim=1)[0]
    hits = torch.bincount(hit, minlength=counts.numel()).reshape(counts.shape)
    return ratio(hits, counts).where(finite(map), nan)


@METRICS.register("object-pointing-game")
class ObjectPointingGame(MarkMetric):
    """Of n objects, the share that the n greatest marks of the map hit.

    Marks are local maxima, see :func:`~miso_gen.metrics.marks.marks`; one that lies on an object hits it, and an object is hit
    once. For one object this is the pointing game without tolerance, but for maps with more than one greatest pixel.

    Without objects it is undefined; a constant map points nowhere and scores 0. Objects that are nearer to one another than
    ``distance`` can't all be hit.

    ::

        type: object-pointing-game
        distance: 8

    Source: this project, after the pointing game of Zhang et al., Top-down neural attention, 2016.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0, constant_map=0.0)
    source: ClassVar[str] = "after Zhang et al. 2016, pointing game"

    def from_marks(self, map: Tensor, instances: Tensor, found: Objects, points: Marks) -> Tensor:
        """See :meth:`MarkMetric.from_marks`."""
        return _hit(map, instances, found, points)
