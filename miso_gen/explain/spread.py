"""How large the values of maps are, over one map or many that no memory holds together: exact, in two passes over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miso_gen.explain.scaling import PERCENTILE

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Gives all values anew, (...) float32 each time, nan where there is none.
Values: TypeAlias = Callable[[], Iterable[NDArray[np.float32]]]

_HALF = 16  # bits: float32 from 0 on are ordered as their bits are


def greatest(values: Values) -> float:
    """Return the greatest absolute value; 0.0 where there is none."""
    return max((float(np.fmax.reduce(np.abs(part), axis=None, initial=0.0)) for part in values()), default=0.0)


def extent(values: Values) -> tuple[float, float]:
    """Return the least and the greatest value; (0.0, 0.0) where there is none."""
    least, most = np.inf, -np.inf
    for part in values():
        least = min(least, float(np.fmin.reduce(part, axis=None, initial=np.inf)))
        most = max(most, float(np.fmax.reduce(part, axis=None, initial=-np.inf)))
    return (least, most) if least <= most else (0.0, 0.0)


def percentile(values: Values, share: float = PERCENTILE) -> float:
    """Return a percentile of the absolute values, interpolated linearly: that of :func:`~miso_gen.explain.scaling.percentile`.

    Exact: one pass counts the upper halves of their bits, another the lower ones of the two that matter. 0 becomes the greatest
    absolute value.

    Args:
        values: The values.
        share: From 0 to 1.

    Returns:
        The percentile; 0.0 where there are no values.
    """
    counts = np.zeros(1 << _HALF, np.int64)
    for part in values():
        counts += np.bincount(_bits(part) >> _HALF, minlength=len(counts))
    total = int(counts.sum())
    if not total:
        return 0.0
    place = share * (total - 1)
    low = int(place)
    ranks = (low, min(low + 1, total - 1))
    first, second = _ranked(values, counts, ranks)
    found = first + (place - low) * (second - first)
    return found if found > 0 else _ranked(values, counts, (total - 1,))[0]


def _ranked(values: Values, counts: NDArray[np.int64], ranks: Sequence[int]) -> list[float]:
    """Return the values of some ranks, from 0, by the counts of the upper halves of all."""
    ends = np.cumsum(counts)
    uppers = [int(np.searchsorted(ends, rank, side="right")) for rank in ranks]
    lowers = {upper: np.zeros(1 << _HALF, np.int64) for upper in uppers}
    for part in values():
        bits = _bits(part)
        high = bits >> _HALF
        for upper, inner in lowers.items():
            inner += np.bincount(bits[high == upper] & ((1 << _HALF) - 1), minlength=len(inner))
    found = []
    for rank, upper in zip(ranks, uppers, strict=True):
        lower = int(np.searchsorted(np.cumsum(lowers[upper]), rank - (ends[upper] - counts[upper]), side="right"))
        found.append(float(np.array(upper << _HALF | lower, np.uint32).view(np.float32)))
    return found


def _bits(part: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bits of the absolute values, nan left out."""
    flat = np.abs(np.asarray(part, np.float32).ravel())
    return flat[~np.isnan(flat)].view(np.uint32).astype(np.int64)
