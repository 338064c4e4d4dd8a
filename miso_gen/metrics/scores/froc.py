"""FROC: the share of objects that are found, against the false positives of an image, over thresholds."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, NamedTuple

import torch
from pydantic import Field

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases
from miso_gen.metrics.marks import Marks, marks
from miso_gen.metrics.object_metrics import MarkMetric
from miso_gen.metrics.objects import Objects, checked_whole, objects
from miso_gen.metrics.planes import finite
from miso_gen.recipe.parameters import NonNegativeFloat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

RATES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  #: false positives of an image at which the sensitivity is read off


class Detections(NamedTuple):
    """What the marks of some images hit; all float64, on the CPU. Those of more images are concatenated.

    Attributes:
        hits: (M,) greatest mark on each object that has a mark.
        hit_image: (M,) int64, number of its image.
        misses: (F,) marks on no object.
        miss_image: (F,) int64, number of its image.
        objects: (I,) int64, objects of each image.
        defined: (I,) bool, whether the map of the image is finite; others have no marks and must not count.
    """

    hits: Tensor
    hit_image: Tensor
    misses: Tensor
    miss_image: Tensor
    objects: Tensor
    defined: Tensor


class FrocCurve(NamedTuple):
    """The curve of some images, from no mark to all of them.

    Attributes:
        threshold: (K,) float64, decreasing from inf: marks from it on count.
        false_positives: (K,) float64, of an image, from 0.
        sensitivity: (K,) float64 in [0, 1]; nan where there is no object.
    """

    threshold: Tensor
    false_positives: Tensor
    sensitivity: Tensor

    def at(self, rates: Sequence[float]) -> Tensor:
        """Return the sensitivity at rates of false positives, (R,) float64: the greatest at no more; nothing is interpolated.

        Raises:
            InputError: A rate is negative.
        """
        if not all(rate >= 0 for rate in rates):
            raise InputError(f"rates must be at least 0, got {tuple(rates)}.")
        place = torch.searchsorted(self.false_positives, torch.tensor(tuple(rates), dtype=torch.float64), right=True)
        return self.sensitivity[place - 1]


def detections(map: Tensor, instances: Tensor, distance: int = 8) -> Detections:
    """Return what the marks of maps (..., H, W) hit of the objects of instances (..., H, W).

    Marks are local maxima, see :func:`~miso_gen.metrics.marks.marks`. One on an object is a hit of it; one on no object is a
    false positive; more marks on the same object are neither.

    Raises:
        InputError: Shapes or types are other ones, or ``distance`` can't be.
    """
    checked_whole(map, instances)
    return detections_of(map, instances, objects(instances), marks(map, distance))


def detections_of(map: Tensor, instances: Tensor, there: Objects, found: Marks) -> Detections:
    """As :func:`detections`, of objects and marks that are known."""
    counts = there.counts().flatten().cpu()
    places = tuple(axis.to(instances.device) for axis in (found.map, found.row, found.col))
    ids = instances.reshape(-1, *instances.shape[-2:])[places].to(torch.int64).cpu()
    on = ids > 0
    pairs, owner = torch.unique(torch.stack((found.map, ids))[:, on], dim=1, return_inverse=True)
    hits = torch.full((pairs.shape[1],), -inf, dtype=torch.float64).scatter_reduce_(0, owner, found.score[on], "amax")
    return Detections(hits, pairs[0], found.score[~on], found.map[~on], counts, finite(map).flatten().cpu())


def froc_curve(hits: Tensor, misses: Tensor, objects: int, images: int) -> FrocCurve:
    """Return the curve of pooled images: sensitivity and false positives of an image, of marks from each threshold on.

    Args:
        hits: (M,) float64, greatest mark on each object that has one.
        misses: (F,) float64, marks on no object.
        objects: Objects of all images, found or not.
        images: Images, those without objects too.
    """
    threshold = torch.unique(torch.cat((hits, misses))).flip(0)
    threshold = torch.cat((torch.tensor([inf], dtype=torch.float64), threshold))
    above = [len(part) - torch.searchsorted(part.sort().values, threshold) for part in (hits, misses)]
    sensitivity = above[0].to(torch.float64) / objects if objects else torch.full_like(threshold, nan)
    return FrocCurve(threshold, above[1].to(torch.float64) / max(images, 1), sensitivity)


def froc(map: Tensor, instances: Tensor, distance: int = 8, rates: Sequence[float] = RATES) -> Tensor:
    """Return the mean sensitivity at rates of false positives, each map for itself, (...) float64; see :class:`Froc`."""
    return _each(map, detections(map, instances, distance), rates)


def _each(map: Tensor, found: Detections, rates: Sequence[float]) -> Tensor:
    scores = []
    for k, (count, defined) in enumerate(zip(found.objects.tolist(), found.defined.tolist(), strict=True)):
        curve = froc_curve(found.hits[found.hit_image == k], found.misses[found.miss_image == k], count, 1)
        scores.append(float(curve.at(rates).mean()) if defined else nan)
    return torch.tensor(scores, dtype=torch.float64, device=map.device).reshape(map.shape[:-2])


@METRICS.register("froc")
class Froc(MarkMetric):
    """Share of the objects that are found, on average over rates of false positives in an image.

    Marks are the local maxima of the map, see :func:`~miso_gen.metrics.marks.marks`. A mark on an object hits it, one on no
    object is a false positive, more marks on the same object are neither. The sensitivity at a rate is the greatest at any
    threshold with no more false positives than that; nothing is interpolated.

    This score is that of each image for itself, where a rate below 1 allows no false positive. Over a data set the curve of
    pooled images is usual: :class:`~miso_gen.metrics.pooled.PooledFroc`.

    Without objects it is undefined; a constant map has no mark and scores 0. Objects that are nearer to one another than
    ``distance`` can't all be hit.

    ::

        type: froc
        distance: 8
        rates: [0.25, 0.5, 1, 2, 4, 8]

    Source: Bunch et al., A free-response approach to the measurement of observer performance, 1977; the rates of CAMELYON16.
    """

    rates: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = RATES
    """False positives of an image at which the sensitivity is read off."""

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    empty: ClassVar[EmptyCases] = EmptyCases(blank_map=0.0, constant_map=0.0)
    source: ClassVar[str] = "Bunch et al. 1977; rates of CAMELYON16"

    def from_marks(self, map: Tensor, instances: Tensor, found: Objects, points: Marks) -> Tensor:
        """See :meth:`MarkMetric.from_marks`."""
        return _each(map, detections_of(map, instances, found, points), self.rates)
