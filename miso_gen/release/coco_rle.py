"""Run lengths of masks as COCO writes them: down the columns, from left to right, zeros first.

Source: the COCO data format (cocodataset.org), and the encoding of its API, pycocotools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_GROUPS: Final = 13  # of 5 bits, in a whole number of 64


@dataclass(frozen=True, eq=False)
class ColumnRuns:
    """A mask as its runs of pixels, down the columns.

    Attributes:
        height: Rows of the mask.
        width: Columns of the mask.
        starts: (n,) int64, rising: place of the first pixel of each run, column * height + row.
        lengths: (n,) int64: pixels of each run; two runs never touch.
    """

    height: int
    width: int
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.lengths.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, width, height) of the smallest box around the pixels, px; zeros where there are none."""
        if not len(self.starts):
            return 0, 0, 0, 0
        last = self.starts + self.lengths - 1
        left, right = int(self.starts[0] // self.height), int(last[-1] // self.height)
        wrapped = bool((self.starts // self.height != last // self.height).any())  # over the bottom of a column
        top = 0 if wrapped else int((self.starts % self.height).min())
        bottom = self.height - 1 if wrapped else int((last % self.height).max())
        return left, top, right - left + 1, bottom - top + 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Lengths of the runs of zeros and ones in turn, int64; the first is of zeros and may be 0, the last is not."""
        total = self.height * self.width
        ends = self.starts + self.lengths
        counts = np.empty(2 * len(self.starts) + 1, np.int64)
        counts[0:-1:2] = self.starts - np.concatenate([[0], ends[:-1]])
        counts[1::2] = self.lengths
        counts[-1] = total - (int(ends[-1]) if len(ends) else 0)
        return counts if counts[-1] else counts[:-1]

    def compressed(self) -> str:
        """Return the counts as text, as ``counts`` of a compressed segmentation.

        From the fourth on, a count is written as its difference to the one two before. Numbers are cut into groups of 5 bits,
        least first; a sixth bit says that more follow; 48 is added to make a letter.
        """
        numbers = self.counts
        numbers[3:] -= self.counts[1:-2]
        letters = np.zeros((len(numbers), _GROUPS), np.uint8)
        going = np.ones(len(numbers), bool)
        for place in range(_GROUPS):
            group = numbers & 31
            numbers = numbers >> 5
            more = going & np.where(group & 16, numbers != -1, numbers != 0)
            letters[going, place] = (group[going] | np.where(more[going], 32, 0)) + 48
            going = more
        return letters[letters > 0].tobytes().decode("ascii")


def label_runs(strips: Iterable[NDArray[Any]], height: int, width: int) -> Iterator[tuple[int, ColumnRuns]]:
    """Yield each label above 0 of a label image with its mask, by rising label.

    Args:
        strips: (height, w) whole numbers, from left to right; memory follows a strip, and the runs.
        height: Rows of the image.
        width: Columns of the image.
    """
    parts: list[tuple[NDArray[np.int64], ...]] = []
    before = 0
    for strip in strips:
        flat = np.ascontiguousarray(strip.T).reshape(-1)
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]).astype(np.int64)
        lengths = np.diff(starts, append=len(flat))
        labels = flat[starts].astype(np.int64)
        parts.append(tuple(values[labels > 0] for values in (starts + before, lengths, labels)))
        before += len(flat)
    if not parts:
        return
    starts, lengths, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(labels, kind="stable")
    starts, lengths, labels = starts[order], lengths[order], labels[order]
    # A run that goes on in the next strip is one.
    fresh = np.ones(len(starts), bool)
    fresh[1:] = (labels[1:] != labels[:-1]) | (starts[1:] != starts[:-1] + lengths[:-1])
    first = np.flatnonzero(fresh)
    if not len(first):
        return
    lengths = np.add.reduceat(lengths, first)
    starts, labels = starts[first], labels[first]
    cuts = np.flatnonzero(np.diff(labels)) + 1
    bounds = np.concatenate([[0], cuts, [len(labels)]])
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield int(labels[low]), ColumnRuns(height, width, starts[low:high], lengths[low:high])
