"""Weighted F-measure of a map: errors count by where they are."""

from __future__ import annotations

from math import log, nan
from typing import TYPE_CHECKING, Any, ClassVar, Final

import cv2
import numpy as np
import torch

from miso_gen.errors import MissingExtraError
from miso_gen.metrics.interfaces import METRICS, Direction, EmptyCases, Metric, Takes
from miso_gen.metrics.planes import checked, finite
from miso_gen.recipe.parameters import PositiveFloat

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

WINDOW: Final = 7  #: side of the Gaussian window in pixels
SIGMA: Final = 5.0  #: of the Gaussian, in pixels
HALF_AT: Final = 5.0  #: distance in pixels at which the weight of a false positive is halfway from 1 to 2


def weighted_f(map: Tensor, truth: Tensor, beta_squared: float = 1.0) -> Tensor:
    """Return the weighted F-measure of maps (..., H, W) in [0, 1], (...) float64; see :class:`WeightedF`."""
    checked(map, truth)
    shape, plane = map.shape[:-2], map.shape[-2:]
    known = finite(map)
    pairs = zip(map.reshape(-1, *plane), truth.reshape(-1, *plane), known.reshape(-1).tolist(), strict=True)
    found = [_of_one(one, marks, beta_squared) if is_known and bool(marks.any()) else nan for one, marks, is_known in pairs]
    return torch.tensor(found, dtype=torch.float64, device=map.device).reshape(shape)


def _of_one(map: Tensor, truth: Tensor, beta_squared: float) -> float:
    marks = truth.cpu().numpy()
    away, nearest = _nearest(marks)  # told by the truth alone, on the CPU wherever the map is
    if map.device.type == "cpu":
        weighted = _errors(map.numpy(), marks, nearest)
        false = float((np.abs(map.numpy()[~marks].astype(np.float64)) * _weights(away[~marks])).sum())
        hit, number = float(weighted.sum()), int(marks.sum())
    else:
        flat = torch.from_numpy(nearest).to(map.device)
        values = _errors_on_device(map, truth, flat)
        weights = torch.from_numpy(_weights(away)).to(map.device)
        false = float((map.to(torch.float64).abs() * weights)[~truth].sum())
        hit, number = float(values.sum()), int(marks.sum())
    right = number - hit
    recall = 1.0 - hit / number
    precision = right / (right + false) if right + false else 0.0
    lower = recall + beta_squared * precision
    return (1.0 + beta_squared) * recall * precision / lower if lower else 0.0


def _nearest(truth: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distance of each pixel to the evidence, (H, W), and the flat place of the nearest pixel of it, (H, W)."""
    try:
        from scipy.ndimage import distance_transform_edt
    except ModuleNotFoundError:
        raise MissingExtraError("scipy", "eval", "weighted-f") from None
    found: Any = distance_transform_edt(~truth, return_indices=True)
    away, (row, col) = found
    return away, row.astype(np.int64) * truth.shape[1] + col


def _weights(away: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 - np.exp(away * (log(0.5) / HALF_AT))


def _gaussian() -> NDArray[np.float64]:
    """Return one axis of the window."""
    place = np.arange(WINDOW) - WINDOW // 2
    found = np.exp(-place * place / (2 * SIGMA * SIGMA))
    return found / found.sum()


def _errors(map: NDArray[Any], truth: NDArray[np.bool_], nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the error of each pixel of evidence, (n,): its own, or the mean one around it where that is less."""
    error = np.abs(map.astype(np.float64) - truth)
    carried = error.reshape(-1)[nearest]  # a pixel elsewhere has the error of the nearest evidence
    line = _gaussian()
    around = cv2.sepFilter2D(carried, cv2.CV_64F, line, line, borderType=cv2.BORDER_CONSTANT)
    return np.minimum(error[truth], around[truth])


def _errors_on_device(map: Tensor, truth: Tensor, nearest: Tensor) -> Tensor:
    """As :func:`_errors`, in torch."""
    error = (map.to(torch.float64) - truth.to(torch.float64)).abs()
    carried = error.flatten()[nearest]
    line = torch.from_numpy(_gaussian()).to(map.device)
    around = torch.nn.functional.conv2d(carried[None, None], line[None, None, :, None], padding=(WINDOW // 2, 0))
    around = torch.nn.functional.conv2d(around, line[None, None, None, :], padding=(0, WINDOW // 2))[0, 0]
    return torch.minimum(error[truth], around[truth])


@METRICS.register("weighted-f")
class WeightedF(Metric):
    """Weighted F-measure: (1 + b) P R / (R + b P), b = beta^2, of weighted precision P and recall R.

    The error of a pixel of evidence is the mean one around it, if that is less than its own: a hole within evidence that is found
    counts less. Around it means a Gaussian window of 7 x 7 pixels (sigma 5), beyond the evidence with the error of the nearest
    pixel of it, and beyond the image without error. A false positive counts 2 - 2^(-d / 5), d its distance in pixels to the
    evidence. Undefined without truth.

    The distances take most of the time: it is the slowest of the scores that ask no model.

    ::

        type: weighted-f

    Source: Margolin et al., How to evaluate foreground maps?, 2014.
    """

    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    takes: ClassVar[Takes] = "unit"
    empty: ClassVar[EmptyCases] = EmptyCases()
    source: ClassVar[str] = "Margolin et al. 2014"

    beta_squared: PositiveFloat = 1.0
    """Weight of recall against precision, beta^2."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return weighted_f(map, truth, self.beta_squared)
