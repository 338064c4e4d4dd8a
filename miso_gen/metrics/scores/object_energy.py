"""Relevance on objects, where no object makes up for another."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Takes
from miso_gen.metrics.object_metrics import ObjectMetric
from miso_gen.metrics.objects import checked_whole, objects
from miso_gen.metrics.planes import extremes, finite, ratio, total

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.objects import Objects


def object_energy(map: Tensor, instances: Tensor) -> Tensor:
    """Return the relevance of maps (..., H, W) on the objects of instances (..., H, W), evenly counted, (...) float64.

    See :class:`ObjectEnergy`.
    """
    checked_whole(map, instances)
    return _energy(map, objects(instances))


def _energy(map: Tensor, found: Objects) -> Tensor:
    share = _shares(map, found)
    due = found.area / found.by_map(found.area).flatten()[found.map]
    defined = (found.counts() > 0) & finite(map) & (extremes(map)[0] >= 0)
    return found.by_map(torch.minimum(share, due)).where(defined, nan)


def object_shares(map: Tensor, instances: Tensor) -> tuple[Objects, Tensor]:
    """Return the objects, and the share of the sum of the map that lies on each, (K,) float64; nan where that sum is 0.

    Args:
        map: (..., H, W) floating, of values from 0.
        instances: (..., H, W) whole numbers, 0 for none.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked_whole(map, instances)
    found = objects(instances)
    return found, _shares(map, found)


def _shares(map: Tensor, found: Objects) -> Tensor:
    return ratio(found.sums(map), total(map).flatten()[found.map])


@METRICS.register("object-energy")
class ObjectEnergy(ObjectMetric):
    """Relevance on the objects, of which no object counts more than its share by area: sum_k min(e_k, a_k / A).

    e_k: share of the sum of the map that lies on object k; a_k: its pixels; A: pixels of all objects. For one object this is the
    relevance mass. A map that sees one of several objects only can't reach 1, however well it sees that one.

    Undefined without objects, where the map is 0 everywhere, and where it has negative values: say what becomes of them.

    ::

        type: object-energy

    Source: this project, after the energy-based pointing game of Wang et al., Score-CAM, 2020.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "positive"
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=nan)
    chance: ClassVar[str | None] = "p"
    source: ClassVar[str] = "after Wang et al. 2020, energy-based pointing game"

    def from_objects(self, map: Tensor, instances: Tensor, found: Objects) -> Tensor:
        """See :meth:`ObjectMetric.from_objects`."""
        return _energy(map, found)
