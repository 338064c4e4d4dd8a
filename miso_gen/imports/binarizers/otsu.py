"""Binarisation by Otsu's threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.errors import InputError
from miso_gen.imports.binarizing import PictureBinarizer, Side, chosen_side
from miso_gen.recipe.plugins import BINARIZERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.imports.pictures import Picture

_LEVELS: Final = 256
MOST_BETWEEN: Final = 0.15  #: share of pixels that may be of neither class; icons of 64 px reach .05, photographs .16 to .6


@BINARIZERS.register("otsu")
class Otsu(PictureBinarizer):
    """Greys in two classes by the threshold that tells their means apart best.

    256 levels from the least grey to the greatest. A picture is refused where more than 15 % of its pixels are of neither
    class: farther from both means than a quarter of the means' distance. So are photographs, gradients and noise.

    ::

        binarize: {type: otsu, object: dark}

    Source: Otsu, A threshold selection method from gray-level histograms, 1979.
    """

    object: Side = "auto"
    """Which class is the object; auto: the one that fewer pixels of the picture's outermost frame have, else the lighter."""

    def binarize(self, picture: Picture, name: str) -> NDArray[np.bool_]:
        """See :class:`PictureBinarizer`."""
        low, high = float(picture.grey.min()), float(picture.grey.max())
        if low == high:
            raise InputError(f"must show something, got the grey {low:.3g} everywhere. Leave it out.")
        levels = ((picture.grey - low) * ((_LEVELS - 1) / (high - low)) + 0.5).astype(np.uint8)
        counts = np.bincount(levels.reshape(-1), minlength=_LEVELS)
        threshold, between = two_classes(counts)
        if between > MOST_BETWEEN:
            raise InputError(
                f"must be a silhouette: two greys, at most {MOST_BETWEEN:.0%} of its pixels of neither, got {between:.0%}, as in "
                "a photograph. Cut the object out, or write binarize: {type: threshold, low: ..., high: ...}."
            )
        return chosen_side(levels > threshold, self.object)


def two_classes(counts: NDArray[np.int64]) -> tuple[int, float]:
    """Return the last level of the lower class, and the share of the pixels that are of neither class.

    Args:
        counts: (n,) pixels of each level; two of them at least are not 0.
    """
    levels = np.arange(len(counts), dtype=np.float64)
    below, total = np.cumsum(counts).astype(np.float64), float(counts.sum())
    sums = np.cumsum(counts * levels)
    inside = (below > 0) & (below < total)  # both classes have pixels
    means = np.divide(sums, below, out=np.zeros_like(sums), where=inside)
    others = np.divide(sums[-1] - sums, total - below, out=np.zeros_like(sums), where=inside)
    spread = np.where(inside, below * (total - below) * (others - means) ** 2, -1.0)
    # A gap between the classes gives many thresholds the same spread: the middle one is far from both.
    best = np.flatnonzero(spread >= spread.max() * (1.0 - 1e-12))
    threshold = int(best[len(best) // 2])
    near = (others[threshold] - means[threshold]) / 4.0
    far = (np.abs(levels - means[threshold]) > near) & (np.abs(levels - others[threshold]) > near)
    return threshold, float(counts[far].sum() / total)
