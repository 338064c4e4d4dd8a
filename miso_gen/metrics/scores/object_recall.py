"""Recall of objects: the share of them that a mask finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Takes
from miso_gen.metrics.object_metrics import ObjectMetric
from miso_gen.metrics.objects import checked_whole, objects
from miso_gen.metrics.planes import ratio
from miso_gen.recipe.parameters import UnitInterval

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.objects import Objects


def object_recall(mask: Tensor, instances: Tensor, min_share: float = 0.5) -> Tensor:
    """Return the share of the objects of instances (..., H, W) that masks (..., H, W) bool find, (...) float64.

    See :class:`ObjectRecall`; nan without objects.
    """
    checked_whole(mask, instances, binary=True)
    return _recall(mask, objects(instances), min_share)


def _recall(mask: Tensor, found: Objects, min_share: float) -> Tensor:
    covered = _coverage(mask, found)
    return ratio(found.by_map((covered >= min_share) & (covered > 0)), found.counts())


def object_coverage(mask: Tensor, instances: Tensor) -> tuple[Objects, Tensor]:
    """Return the objects of instances (..., H, W), and which share of each is in its mask (..., H, W) bool, (K,) float64.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked_whole(mask, instances, binary=True)
    found = objects(instances)
    return found, _coverage(mask, found)


def _coverage(mask: Tensor, found: Objects) -> Tensor:
    return ratio(found.sums(mask), found.area)


@METRICS.register("object-recall")
class ObjectRecall(ObjectMetric):
    """Share of the objects that are found: of which the mask has some pixel, and at least ``min_share`` of the pixels.

    A small object counts as much as a large one. A mask of everything finds all: read it beside the precision, or take ``froc``.
    Without objects it is undefined; a blank mask scores 0.

    ::

        type: object-recall
        min_share: 0.5

    Source: recall per object, as detection counts it.
    """

    min_share: UnitInterval = 0.5
    """Least share of its pixels that makes an object found; 0: any pixel does."""

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "binary"
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0, constant_map=1.0)
    source: ClassVar[str] = "recall per object"

    def from_objects(self, map: Tensor, instances: Tensor, found: Objects) -> Tensor:
        """See :meth:`ObjectMetric.from_objects`."""
        return _recall(map, found, self.min_share)
