"""Where the pixels with evidence rank among the others: all that AUROC and average precision need."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
import torch

from miso_gen.metrics.interfaces import Metric, Takes
from miso_gen.metrics.joint import joint_histogram
from miso_gen.metrics.planes import checked, finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from miso_gen.metrics.joint import Joint

_LARGE: Final = 1 << 11  #: pixels from which on a map is ranked by itself on the CPU
_MANY: Final = 1 << 18  #: pixels without evidence from which on sorting them all takes longer than finding those to sort
_CELLS: Final = 1 << 22  #: greatest number of cells that tell them apart
_STRIP: Final = 1 << 16  #: pixels at a time, which stay in the cache


class Ranks(NamedTuple):
    """Levels of maps, ascending, each (..., L) float64 whole numbers; levels may have no pixels.

    Attributes:
        evidence: Pixels with evidence of the level.
        below: Pixels without evidence of lower levels.
        equal: Pixels without evidence of the level.
        background: Pixels without evidence, (..., 1).
    """

    evidence: Tensor
    below: Tensor
    equal: Tensor
    background: Tensor


class RankMetric(Metric):
    """A score that follows from the ranks; ties are exact."""

    takes: ClassVar[Takes] = "continuous"
    joint: ClassVar[bool] = True
    sorts: ClassVar[bool] = True  #: whether one map alone is scored by its ranks; False: there is a shorter way

    @abstractmethod
    def from_ranks(self, ranks: Ranks) -> Tensor:
        """Return the score, (...) float64."""

    def score(self, map: Tensor, truth: Tensor) -> Tensor:
        """See :meth:`Metric.score`."""
        return rank_scores((self,), map, truth)[0]

    def from_joint(self, joint: Joint) -> Tensor:
        """See :meth:`Metric.from_joint`."""
        return self.from_ranks(of_joint(joint))


def rank_scores(metrics: tuple[RankMetric, ...], map: Tensor, truth: Tensor) -> list[Tensor]:
    """Return the scores of several metrics, each (...) float64, ranking the pixels once; nan for maps that are not finite.

    Args:
        metrics: The metrics.
        map: (..., H, W) floating.
        truth: (..., H, W) bool.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked(map, truth)
    map = map.detach()
    known = finite(map)
    size = map.shape[-2] * map.shape[-1]
    if map.device.type == "cpu" and size >= _LARGE:
        rows = [
            [metric.from_ranks(ranks) for metric in metrics]
            for ranks in (
                _ranks(one, marks) for one, marks in zip(_rows(map, known), truth.reshape(-1, size).numpy(), strict=True)
            )
        ]
        found = [torch.stack([row[k] for row in rows]).reshape(map.shape[:-2]) for k in range(len(metrics))]
    else:
        ranks = of_joint(joint_histogram(map.where(known[..., None, None], 0.0), truth, levels=None))
        found = [metric.from_ranks(ranks) for metric in metrics]
    return [values.where(known, torch.nan) for values in found]


def of_joint(joint: Joint) -> Ranks:
    """Return the ranks of a joint histogram."""
    background = joint.background
    upto = background.cumsum(-1)
    parts = (joint.evidence, upto - background, background, upto[..., -1:])
    return Ranks(*(part.to(torch.float64) for part in parts))


def top_of_ranks(ranks: Ranks, numbers: Tensor) -> Tensor:
    """Return the share of evidence among the highest pixels, (...) float64, the mean over all orders of ties; nan without truth.

    Args:
        ranks: The ranks.
        numbers: (...) float64, how many pixels; all of them where there are fewer.
    """
    hits = ranks.evidence.sum(-1, keepdim=True) - ranks.evidence.cumsum(-1)
    above = hits + ranks.background - ranks.below - ranks.equal  # pixels of greater values
    total = ranks.evidence.sum(-1) + ranks.background[..., 0]
    numbers = torch.minimum(numbers, total)
    fits = ((numbers[..., None] - above) / (ranks.evidence + ranks.equal).clamp(min=1)).clamp_(0, 1)
    return ((ranks.evidence * fits).sum(-1) / numbers).where(ranks.evidence.sum(-1) > 0, torch.nan)


def _rows(map: Tensor, known: Tensor) -> Iterator[np.ndarray]:
    """Yield each map flat, a new array; zeros for one that is not finite."""
    wide = map.to(torch.float32) if map.dtype in (torch.float16, torch.bfloat16) else map
    for one, is_known in zip(wide.flatten(0, -3) if map.ndim > 2 else wide[None], known.flatten(), strict=True):
        yield one.numpy().reshape(-1) if is_known else np.zeros(one.numel(), np.float32)


def _ranks(map: np.ndarray, truth: np.ndarray) -> Ranks:
    """Return the ranks of one large map (N,): levels are the values of the pixels with evidence.

    Evidence and background are sorted apart, which is cheaper than sorting both with a mark on each.
    """
    evidence, background = map[truth], map[~truth]
    evidence.sort()
    pixels = len(background)
    last = np.ones(len(evidence), bool)
    np.not_equal(evidence[1:], evidence[:-1], out=last[:-1])
    counts = np.ones(len(evidence))
    if not last.all():
        ends = np.flatnonzero(last)
        evidence, counts = evidence[ends], np.diff(ends, prepend=-1).astype(np.float64)
    less: Any = 0
    if len(evidence) and pixels >= _MANY:
        less, background = _near(evidence, background)
    background.sort()
    below = np.searchsorted(background, evidence)
    # A value is tied where the first pixel not below it equals it: seldom, so that the end of a tie is sought there alone.
    found = below < len(background)
    tied = np.flatnonzero(found)[background[below[found]] == evidence[found]]
    equal = np.zeros(len(evidence))
    equal[tied] = np.searchsorted(background, evidence[tied], side="right") - below[tied]
    total = torch.tensor([float(pixels)], dtype=torch.float64)
    return Ranks(torch.from_numpy(counts), torch.from_numpy((below + less).astype(np.float64)), torch.from_numpy(equal), total)


def _near(evidence: NDArray[Any], background: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the pixels below each value that need no sorting, (L,), and the others: most of the background is of no account.

    Values fall into cells by a function that never decreases. A pixel whose cell has no evidence is below all evidence of later
    cells and above all of earlier ones: it is counted. Only those that share a cell with evidence are left to be sorted.

    Args:
        evidence: Different values, ascending.
        background: The values of the pixels without evidence.
    """
    cells = min(_CELLS, 1 << (len(background).bit_length() - 1))
    with np.errstate(over="ignore", divide="ignore"):
        rate = evidence.dtype.type(cells - 1) / (evidence[-1] - evidence[0])
    if not (np.isfinite(rate) and rate > 0):  # one value, or a range without end
        return np.zeros(len(evidence), np.int64), background
    own, other = _cells(evidence, evidence[0], rate, cells), _cells(background, evidence[0], rate, cells)
    shared = np.zeros(cells + 2, bool)
    shared[own] = True
    counts = np.bincount(other, minlength=cells + 2)
    counts[shared] = 0
    return counts.cumsum()[own], background[shared.take(other)]


def _cells(values: NDArray[Any], low: Any, rate: Any, cells: int) -> NDArray[np.int32]:
    """Return the cell of each value: 0 below ``low``, from 1 on above it, ``cells`` + 1 for all beyond the last."""
    found = np.empty(len(values), np.int32)
    with np.errstate(over="ignore"):
        for start in range(0, len(values), _STRIP):
            place = values[start : start + _STRIP] - low
            place *= rate
            np.clip(place, -1, cells, out=place)
            place += 1
            found[start : start + _STRIP] = place
    return found
