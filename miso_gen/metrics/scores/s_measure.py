"""S-measure (structure) of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.joint import centroid
from miso_gen.metrics.moments import Moments, moments, moments_of
from miso_gen.metrics.planes import checked, finite
from miso_gen.recipe.parameters import UnitInterval

if TYPE_CHECKING:
    from torch import Tensor

    from miso_gen.metrics.joint import Joint


def s_measure(
    map: Tensor, truth: Tensor, alpha: float = 0.5, centre: Literal["lower-right", "upper-left"] = "lower-right"
) -> Tensor:
    """Return the S-measure of maps (..., H, W) in [0, 1], (...) float64; see :class:`SMeasure`."""
    return SMeasure(alpha=alpha, centre=centre).score(map, truth)


@METRICS.register("s-measure")
class SMeasure(Metric):
    """Structure-measure: alpha So + (1 - alpha) Sr, not below 0.

    So, of objects: p o(map where there is evidence) + (1 - p) o(1 - map elsewhere), o(v) = 2 mean / (mean^2 + 1 + std), std with
    N - 1, and 0 for one pixel.
    Sr, of regions: the image is split in four at the truth's centroid, rounded to even; each quadrant counts by its area with
    4 x y sxy / ((x^2 + y^2) (sxx + syy)), x and y the means of map and truth, sxx, syy, sxy their variances and covariance; 1
    where numerator and denominator are 0; an empty quadrant counts nothing.
    Where the truth is full, the mean of the map. Undefined without truth. Values beyond [0, 1] are taken as they are.

    ::

        type: s-measure
        alpha: 0.5

    Source: MISO; Fan et al., Structure-measure: a new way to evaluate foreground maps, 2017. Code of Fan et al. has the
    centroid's own row and column in the upper left quadrant, that of MISO in the lower right one.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "unit"
    joint: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases()
    source: ClassVar[str] = "MISO; Fan et al. 2017"

    alpha: UnitInterval = 0.5
    """Weight of objects against regions."""
    centre: Literal["lower-right", "upper-left"] = "lower-right"
    """Quadrant that has the row and the column of the centroid: ``lower-right`` as MISO, ``upper-left`` as Fan et al."""

    def split(self, truth: Tensor) -> Tensor:
        """See :meth:`Metric.split`."""
        return centroid(truth) + (self.centre == "upper-left")

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        checked(map, truth)
        known = finite(map)
        shown = map if bool(known.all()) else map.where(known[..., None, None], 0.0)
        return self.from_moments(moments(shown, truth, self.split(truth))).where(known, torch.nan)

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        return self.from_moments(moments_of(joint))

    def from_moments(self, found: Moments) -> Tensor:
        """Return the score, (...) float64, of moments by quadrant."""
        areas = found.number.sum((-2, -1))
        evidence = found.number[..., 1].sum(-1)
        score = (self.alpha * _objects(found) + (1.0 - self.alpha) * self.regions(found)).clamp(min=0)
        means = (found.number * found.mean).sum((-2, -1)) / areas
        return torch.where(evidence == areas, means, score).where(evidence > 0, torch.nan)

    def regions(self, found: Moments) -> Tensor:
        """Return Sr, (...) float64."""
        alike, area = _alike(found)
        return (alike * area).sum(-1) / area.sum(-1)


@METRICS.register("s-measure-legacy")
class SMeasureLegacy(SMeasure):
    """S-measure, but undefined where a quadrant is empty, as with a centroid in the first row; 1 - mean of the map without truth.

    ::

        type: s-measure-legacy

    Source: MISO, released code.
    """

    legacy: ClassVar[bool] = True
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    source: ClassVar[str] = "MISO, code"

    def from_moments(self, found: Moments) -> Tensor:
        """See :meth:`SMeasure.from_moments`."""
        inverse = 1.0 - (found.number * found.mean).sum((-2, -1)) / found.number.sum((-2, -1))
        return torch.where(found.number[..., 1].sum(-1) > 0, super().from_moments(found), inverse)

    def regions(self, found: Moments) -> Tensor:
        """See :meth:`SMeasure.regions`."""
        return super().regions(found).where((found.number.sum(-1) > 0).all(-1), torch.nan)


def _objects(found: Moments) -> Tensor:
    """Return So, (...) float64."""
    number = found.number.sum(-2)
    mean = (found.number * found.mean).sum(-2) / number.clamp(min=1)
    spread = (found.spread + found.number * (found.mean - mean[..., None, :]).square()).sum(-2)
    std = (spread / (number - 1).clamp(min=1)).sqrt()
    mean = torch.stack([1.0 - mean[..., 0], mean[..., 1]], -1)  # elsewhere, the less the better
    return (number * 2.0 * mean / (mean.square() + 1.0 + std)).sum(-1) / number.sum(-1)


def _alike(found: Moments) -> tuple[Tensor, Tensor]:
    """Return how alike map and truth are in each quadrant, and its pixels, (..., 4) float64 each."""
    area = found.number.sum(-1)
    without, with_ = found.number.unbind(-1)
    both = without * with_ / area.clamp(min=1)  # spread of the truth
    apart = found.mean[..., 1] - found.mean[..., 0]
    y = with_ / area.clamp(min=1)
    x = torch.where(with_ > 0, found.mean[..., 1], found.mean[..., 0]) - torch.where(both > 0, apart * (1.0 - y), 0.0)
    spread = found.spread.sum(-1) + torch.where(both > 0, both * apart.square(), 0.0)
    one_less = (area - 1).clamp(min=1)
    upper = 4.0 * x * y * torch.where(both > 0, both * apart, 0.0) / one_less
    lower = (x * x + y * y) * (spread + both) / one_less
    return torch.where(upper != 0, upper / lower, (lower == 0).to(torch.float64)), area
