"""Drawing with replacement, the same everywhere: the words of a named stream decide, one a draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

_AT_ONCE: Final = 1 << 20  #: draws made at a time


def strata_codes(strata: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """Return the number of the stratum of each thing, (count,) int64, numbered in sorted order; all 0 for None."""
    return np.zeros(count, np.int64) if strata is None else codes_of(strata, count, "strata")


def codes_of(names: ArrayLike, count: int, what: str) -> NDArray[np.int64]:
    """Return a number for each different name, in sorted order, (count,) int64.

    Raises:
        InputError: There are not ``count`` names.
    """
    array = np.asarray(names)
    if array.shape != (count,):
        raise InputError(f"{what} must be one name a value, shape ({count},), got shape {array.shape}.")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def resamples(strata: NDArray[np.int64], count: int, stream: Stream, width: int = 1) -> Iterator[NDArray[np.int64]]:
    """Yield rows of places (b, n) int64, ``count`` rows in all: n things drawn with replacement, each from its own stratum.

    Every stratum keeps its size. Row after row is drawn, each in the order of the things, whatever b is.

    Args:
        strata: (n,) number of the stratum of each thing.
        count: Rows in all.
        stream: Gives one word a draw.
        width: Numbers that the caller will look at for each draw, to bound what is in memory.
    """
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    start, size = (np.cumsum(sizes) - sizes)[strata], sizes[strata].astype(np.uint64)
    rows = max(1, _AT_ONCE // max(1, len(strata) * width))
    for done in range(0, count, rows):
        words = stream.raw(min(rows, count - done) * len(strata)).reshape(-1, len(strata))
        yield order[start + ((words >> np.uint64(32)) * size >> np.uint64(32)).astype(np.int64)]
