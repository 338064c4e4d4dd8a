"""In which order an epoch shows the patches: random, though only a few images are needed at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import InputError
from miso_gen.rng import Stream

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_IMAGES, _TIMES, _DRAWS = 0, 1, 2  #: branches of an epoch's stream


class EpochOrder:
    """Which patches an epoch shows, in which order: a function of seed and epoch, and of nothing else.

    Shuffled, the images come in random order, and at any time the patches of ``pool`` of them are mixed: the k-th of N images is
    open from time max(0, k - pool + 1) to min(k, N - pool) + 1, and each of its patches has a random time in between. So at
    any time ``pool`` images are open (all, where there are fewer), as one closes the next one opens, and an epoch opens each
    image once. With ``pool`` >= N the order is a plain shuffle.

    Args:
        images: (n,) whole numbers, the image of each patch.
        seed: Decides, with the epoch.
        pool: Images open at a time, from 1.
        shuffle: False: the order of the table.
        weights: (n,) numbers >= 0: an epoch is n draws with replacement, each patch by its weight; then ordered as above.
            None: an epoch is every patch once.
        rank: Which of several processes this is; each has a contiguous part of the order, and lengths differ by at most one.
        ranks: How many there are.

    Raises:
        InputError: An argument is out of range.
    """

    def __init__(
        self,
        images: ArrayLike,
        *,
        seed: int = 0,
        pool: int = 8,
        shuffle: bool = True,
        weights: ArrayLike | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        numbers = np.asarray(images)
        if numbers.ndim != 1:
            raise InputError(f"images must be one number a patch, shape (n,), got shape {numbers.shape}.")
        if pool < 1:
            raise InputError(f"pool must be 1 image or more, got {pool}.")
        if not 0 <= rank < ranks:
            raise InputError(f"rank must be from 0 and below ranks, got rank {rank} of {ranks}.")
        self.seed, self.pool, self.shuffle, self.rank, self.ranks = int(seed), int(pool), shuffle, int(rank), int(ranks)
        found, places = np.unique(numbers, return_inverse=True)
        self._count, self._place = len(found), places.astype(np.int64)
        sums = None if weights is None else _cumulated(np.asarray(weights, np.float64), len(numbers))
        self._sums = sums if len(numbers) else None  # of nothing, nothing is drawn

    def __len__(self) -> int:
        """Patches that this rank sees in an epoch."""
        return self._end(self.rank + 1) - self._end(self.rank)

    def indices(self, epoch: int) -> NDArray[np.int64]:
        """Return the patches of an epoch that this rank shows, in order: rows of the table, (len(self),) int64.

        Args:
            epoch: Number, from 0.
        """
        stream = Stream(self.seed, "epoch", int(epoch))
        chosen = np.arange(len(self._place), dtype=np.int64) if self._sums is None else self._drawn(stream)
        if self.shuffle:
            chosen = chosen[np.argsort(self._times(stream, chosen), kind="stable")]
        return chosen[self._end(self.rank) : self._end(self.rank + 1)]

    def _drawn(self, stream: Stream) -> NDArray[np.int64]:
        """Return n draws by weight, sorted."""
        assert self._sums is not None
        marks = np.sort(stream.at(_DRAWS).uniforms(len(self._sums))) * self._sums[-1]
        # Rounding may give a mark the total itself; the last patch with a weight is below it.
        last = int(np.searchsorted(self._sums, self._sums[-1], side="left"))
        return np.minimum(np.searchsorted(self._sums, marks, side="right"), last).astype(np.int64)

    def _times(self, stream: Stream, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return when each chosen patch is shown."""
        rank = np.empty(self._count, np.int64)
        rank[np.argsort(stream.at(_IMAGES).raw(self._count), kind="stable")] = np.arange(self._count)
        k = rank[self._place[chosen]]
        opens = np.maximum(0, k - self.pool + 1)
        closes = np.minimum(k, max(0, self._count - self.pool)) + 1
        return opens + (closes - opens) * stream.at(_TIMES).uniforms(len(chosen))

    def _end(self, rank: int) -> int:
        return len(self._place) * rank // self.ranks


def _cumulated(weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the running sums of weights."""
    if weights.shape != (count,):
        raise InputError(f"weights must be one number a patch, shape ({count},), got shape {weights.shape}.")
    if count and not (weights.min() >= 0 and 0 < weights.sum() < np.inf):
        raise InputError("weights must be finite, 0 or more, and not all 0, got others. Use None to show every patch once.")
    return np.cumsum(weights)
