"""IROF: what the model loses as pieces of the image go, the most relevant first."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from miso_gen.metrics.asking import LEAST, CurveMetric, Probability, reader
from miso_gen.metrics.filling import BASELINES, Baseline
from miso_gen.metrics.interfaces import MODEL_METRICS, Curve, Direction, Explained, Takes
from miso_gen.metrics.removal import replaced
from miso_gen.metrics.segments import Segmentation, segments_of
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen

if TYPE_CHECKING:
    from torch import Tensor


@MODEL_METRICS.register("irof")
class Irof(CurveMetric):
    """Iterative removal of features: n - area under p_j / p_0, after j of n pieces of the image are removed, j = 0 to n.

    Pieces go in order of the mean of the map over them, the highest first; of equal ones, the first in rows. The area is that of
    the trapezoid rule. Undefined where p_0 < 1e-8. The score is near n at best: compare methods over the same pieces.

    ::

        type: irof
        segmentation: slic
        segments: 100

    Source: Rieger & Hansen, IROF, 2020, who take superpixels; a grid, our default, needs no scikit-image. Quantus leaves j = 0
    out of the area.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-inf, inf)
    takes: ClassVar[Takes] = "signed"
    source: ClassVar[str] = "Rieger & Hansen 2020"

    segmentation: Segmentation = "grid"
    """What the pieces are: cells of a grid, or superpixels."""

    segments: PositiveInt = 100
    """About how many pieces."""

    baseline: Annotated[Baseline, OneOf(BASELINES)] = chosen("mean")
    """What stands where pieces are removed."""

    output: Probability = "softmax"
    """What of the logits is the probability of the class."""

    def curved(self, explained: Explained) -> Curve:
        """See :meth:`CurveMetric.curved`: x is j, y is p_j / p_0, nan beyond the pieces of an image."""
        images = explained.images
        place, numbers = _places(explained.maps, segments_of(images, self.segmentation, self.segments))
        most = int(numbers.max()) if len(numbers) else 0
        count = torch.arange(most + 1, device=images.device)
        owner, number = (count <= numbers[:, None]).nonzero(as_tuple=True)
        scores = torch.full((len(images), most + 1), nan, dtype=torch.float64, device=images.device)
        scores[owner, number] = replaced(explained, self.baseline.fill(images), place, owner, number, reader(self.output))
        first = scores[:, :1]
        return Curve(count.to(torch.float64), (scores / first).where(first >= LEAST, nan))

    def summary(self, curve: Curve) -> Tensor:
        """See :meth:`CurveMetric.summary`."""
        lost = 1.0 - (curve.y[:, 1:] + curve.y[:, :-1]) / 2
        return lost.nansum(1).where(curve.y[:, 0].isfinite(), nan)


def _places(maps: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the place of each pixel's piece (B, H W) in order of removal, and how many pieces each image has (B,), int64."""
    flat = segments.flatten(1)
    numbers = flat.amax(1) + 1
    most = int(numbers.max()) if len(numbers) else 0
    sums, sizes = (torch.zeros(len(maps), most, dtype=torch.float64, device=maps.device) for _ in range(2))
    sums.scatter_add_(1, flat, maps.flatten(1).to(torch.float64))
    sizes.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float64))
    means = torch.where(sizes > 0, sums / sizes, -torch.inf)  # pieces that an image doesn't have come last
    order = means.sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(most, device=maps.device).expand_as(order))
    return rank.gather(1, flat), numbers
