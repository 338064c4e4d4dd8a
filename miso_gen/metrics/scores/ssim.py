"""Structural similarity (SSIM) of a map."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import cv2
import numpy as np
import torch
from pydantic import AfterValidator, Field

from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, finite
from miso_gen.recipe.parameters import PositiveFloat, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

K1: Final = 0.01
K2: Final = 0.03
_LARGE: Final = 1 << 10  #: pixels from which on a map on the CPU is worked on by itself
_TILE: Final = 192  #: side of what is worked on at a time: it stays in the cache
_BLOCK: Final = 1 << 24  #: pixels of maps that are worked on together


def ssim(map: Tensor, target: Tensor, window: int = 7, data_range: float = 2.0) -> Tensor:
    """Return the mean structural similarity of maps (..., H, W), (...) float64; see :class:`Ssim`.

    Args:
        map: (..., H, W) floating.
        target: (..., H, W), bool for 0 and 1, or floating, such as the confidence that a patch should have.
        window: Side of the window, odd.
        data_range: Range of the values.
    """
    checked(map, target, mask=not target.is_floating_point())
    shape, plane = map.shape[:-2], map.shape[-2:]
    if min(plane) < window:
        return torch.full(shape, nan, dtype=torch.float64, device=map.device)
    maps, targets = (part.reshape(-1, *plane) for part in (map, target))
    if map.device.type == "cpu" and plane.numel() >= _LARGE:
        pairs = zip(maps.numpy(), targets.numpy(), strict=True)
        scores = torch.tensor([_of_large(one, other, window, data_range) for one, other in pairs], dtype=torch.float64)
    else:
        step = max(1, _BLOCK // plane.numel())
        starts = range(0, max(len(maps), 1), step)
        scores = torch.cat([_of_many(maps[k : k + step], targets[k : k + step], window, data_range) for k in starts])
    return scores.reshape(shape).where(finite(map), nan)


def _alike(x: Any, y: Any, squares: Any, products: Any, window: int, data_range: float) -> Any:
    """Return the similarity in each window from its means: of x, y, x^2 + y^2, and x y. They are overwritten."""
    c1, c2, sample = (K1 * data_range) ** 2, (K2 * data_range) ** 2, window**2 / (window**2 - 1)
    both = x * y
    products -= both
    products *= 2.0 * sample
    products += c2
    both *= 2.0
    both += c1
    x *= x
    y *= y
    x += y
    squares -= x
    squares *= sample
    squares += c2
    x += c1
    both *= products
    x *= squares
    both /= x
    return both


def _of_large(map: NDArray[Any], target: NDArray[Any], window: int, data_range: float) -> float:
    """Return the score of one map, tile by tile."""
    rows, cols = (side - window + 1 for side in map.shape)
    half, total = window // 2, 0.0
    for top in range(0, rows, _TILE):
        for left in range(0, cols, _TILE):
            height, width = min(_TILE, rows - top), min(_TILE, cols - left)
            place = slice(top, top + height + window - 1), slice(left, left + width + window - 1)
            x, y = map[place].astype(np.float64), target[place].astype(np.float64)
            inside = slice(half, half + height), slice(half, half + width)
            x_mean, y_mean, squares, products = (
                np.ascontiguousarray(cv2.boxFilter(plane, cv2.CV_64F, (window, window))[inside])
                for plane in (x, y, x * x + y * y, x * y)
            )
            total += float(_alike(x_mean, y_mean, squares, products, window, data_range).sum())
    return total / (rows * cols)


def _of_many(map: Tensor, target: Tensor, window: int, data_range: float) -> Tensor:
    """Return the scores of maps (n, H, W), together."""
    x, y = map.to(torch.float64), target.to(torch.float64)
    planes = torch.stack([x, y, x * x + y * y, x * y], 1)
    means = torch.nn.functional.avg_pool2d(planes, window, stride=1)
    return _alike(means[:, 0], means[:, 1], means[:, 2], means[:, 3], window, data_range).mean((-2, -1))


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"must be odd, got {value}")
    return value


@METRICS.register("ssim")
class Ssim(Metric):
    """Mean structural similarity of map and truth, evidence being 1.

    In each window within the image, (2 x y + c1) (2 sxy + c2) / ((x^2 + y^2 + c1) (sxx + syy + c2)), with x and y the means of
    map and truth, sxx, syy, sxy their sample variances and covariance, c1 = (0.01 R)^2 and c2 = (0.03 R)^2, R the range. Windows
    are squares, each of whose pixels counts the same. Undefined where the image is smaller than the window.

    ::

        type: ssim
        window: 7
        data_range: 2

    Source: MISO; Wang et al., Image quality assessment: from error visibility to structural similarity, 2004. MISO has the range
    of floating images from -1 to 1; that of maps in [0, 1] is 1.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    takes: ClassVar[Takes] = "continuous"
    empty: ClassVar[EmptyCases] = EmptyCases(no_truth=None)
    source: ClassVar[str] = "MISO; Wang et al. 2004"

    window: Annotated[int, Field(ge=3), AfterValidator(_odd), Whole] = 7
    """Side of the window in pixels, odd."""
    data_range: PositiveFloat = 2.0
    """Greatest minus least value that map and truth may have."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        checked(map, truth)
        return ssim(map, truth, self.window, self.data_range)
