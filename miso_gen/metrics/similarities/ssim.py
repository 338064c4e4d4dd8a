"""Structural similarity of two maps."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import torch
from torch.nn.functional import avg_pool2d

from miso_gen.errors import InputError
from miso_gen.metrics.preparing import normalized
from miso_gen.metrics.similarity import SIMILARITIES, Similarity

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW: Final = 7


@SIMILARITIES.register("ssim")
class Ssim(Similarity):
    """Mean structural similarity over 7 x 7 px windows that lie inside, with sample variances, of normalised maps.

    Undefined where no window lies inside.

    ::

        type: ssim
        normalize: min-max

    Source: Wang et al., Image quality assessment, 2004; Adebayo et al., Sanity checks for saliency maps, 2018.
    """

    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    source: ClassVar[str] = "Wang et al. 2004; Adebayo et al. 2018"

    normalize: Literal["min-max", "max-abs"] = "min-max"
    """What is done to each map first: to [0, 1], or by its greatest absolute value to [-1, 1], which keeps signs."""

    def compared(self, one: Tensor, other: Tensor, inside: Tensor) -> Tensor:
        """See :meth:`Similarity.compared`.

        Raises:
            InputError: Maps are smaller than a window.
        """
        if min(one.shape[-2:]) < _WINDOW:
            raise InputError(f"maps must be at least 7 px high and wide for ssim, got {tuple(one.shape[-2:])}. Take pearson.")
        first, second = (self._normalized(map, inside) for map in (one, other))
        span = 1.0 if self.normalize == "min-max" else 2.0
        means = [_means(map) for map in (first, second)]
        sample = _WINDOW**2 / (_WINDOW**2 - 1)
        spread = [
            sample * (_means(a * b) - _means(a) * _means(b)) for a, b in ((first, first), (second, second), (first, second))
        ]
        small, wide = (0.01 * span) ** 2, (0.03 * span) ** 2
        upper = (2 * means[0] * means[1] + small) * (2 * spread[2] + wide)
        lower = (means[0].square() + means[1].square() + small) * (spread[0] + spread[1] + wide)
        whole = _means(inside.to(torch.float64)) > 1 - 1e-6
        number = whole.sum((1, 2))
        found = (upper / lower).where(whole, 0.0).sum((1, 2)) / number
        return found.where(number > 0, nan)

    def _normalized(self, map: Tensor, inside: Tensor) -> Tensor:
        """Return a map normalised by what is inside of it, 0 elsewhere."""
        some = map.flatten(1).gather(1, inside.flatten(1).to(torch.uint8).argmax(1, keepdim=True))
        # What is outside takes a value from inside, which moves neither end of the range.
        return normalized(map.where(inside, some[:, :, None]), self.normalize).where(inside, 0.0)


def _means(map: Tensor) -> Tensor:
    """Return the mean over each window, (n, H - 6, W - 6)."""
    return avg_pool2d(map[:, None], _WINDOW, stride=1)[:, 0]
