"""Maps in five bands, from strongly negative to strongly positive, and how they agree with truth in bands.

Band of a value v at thresholds 0 < inner <= outer::

    v <= -outer: -2    -outer < v <= -inner: -1    -inner < v <= inner: 0    inner < v <= outer: 1    outer < v: 2

Source: Tjoa & Guan.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from miso_gen.errors import InputError
from miso_gen.metrics.objects import checked_whole
from miso_gen.metrics.planes import checked, extremes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Sign: TypeAlias = Literal["signed", "absolute", "positive"]  #: values as they are; without their sign; negative ones as 0
Scale: TypeAlias = Literal["peak", "none"]  #: divided by the greatest absolute value (a map of zeros stays); as they are

HEAT: Final = (0.0, 0.4, 0.9)  #: map that the truth is, by level
_CUT: Final = (0.3, 0.7)  #: thresholds that make bands of the heat
_STRIP: Final = 1 << 16  #: pixels that are sorted into bands at a time
_SMALL: Final = 1e-6  #: what the paper adds to what it divides by
_CELLS: Final = 4096  #: cells of the table that finds the place of a value between thresholds


class BandCounts(NamedTuple):
    """Pixels of bands against bands of the truth at K pairs of thresholds; the first four add up to H x W.

    Attributes:
        tp: (..., K) int64. The truth is not 0, and the band is that of the truth.
        fp: (..., K) int64. The band is not 0, and not that of the truth.
        fn: (..., K) int64. The band is 0, the truth is not.
        tn: (..., K) int64. Both are 0.
        evidence: (...) int64. The truth is not 0.
        finite: (...) bool, whether the map is; the counts of others say nothing.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor
    evidence: Tensor
    finite: Tensor


class BandScores(NamedTuple):
    """Scores at K pairs of thresholds, each (..., K) float64; see ``miso_gen/metrics/scores/five_band.py``."""

    accuracy: Tensor
    precision: Tensor
    recall: Tensor
    false_positive_rate: Tensor


def band(map: Tensor, inner: float, outer: float) -> Tensor:
    """Return the band -2 to 2 of each pixel, (..., H, W) int8; thresholds are rounded to the precision of the map."""
    checked(map)
    low, high = (torch.tensor(value, dtype=torch.float64).to(map.dtype) for value in (inner, outer))
    upper = (map > low).to(torch.int8) + (map > high).to(torch.int8)
    return upper - (map <= -low).to(torch.int8) - (map <= -high).to(torch.int8)


def truth_bands(heat: Tensor) -> Tensor:
    """Return the bands of a heat map (..., H, W) cut at 0.3 and 0.7, int8; also where resizing made values in between."""
    return band(heat, *_CUT)


def heat(levels: Tensor) -> Tensor:
    """Return truth (..., H, W) of levels 0, 1, 2 as a map, float64: 0, 0.4, 0.9."""
    return torch.tensor(HEAT, dtype=torch.float64, device=levels.device)[levels.to(torch.int64)]


def soft_thresholds(inner: float, outer: float, step: float, count: int) -> tuple[tuple[float, float], ...]:
    """Return ``count`` pairs of thresholds, each lower by ``step`` than the one before, to 12 decimals.

    Tjoa & Guan have (0.3, 0.5, 0.005, 56) for maps, (0.5, 0.9, 0.01, 41) for clamped ones, and (0.3, 0.7, 0.005, 56) in their
    second version.

    Raises:
        InputError: They are not 0 < inner <= outer to the last.
    """
    pairs = tuple((round(inner - step * k, 12), round(outer - step * k, 12)) for k in range(count))
    if not pairs or not all(0 < low <= high for low, high in (pairs[0], pairs[-1])):
        last = pairs[-1] if pairs else "none"
        raise InputError(f"thresholds must be 0 < inner <= outer to the last pair, got {last}. Take fewer or smaller steps.")
    return pairs


# --- attributions with channels ---------------------------------------------------------------------------------------


def summed(attribution: Tensor) -> Tensor:
    """Return the sum over the channels of (..., C, H, W), divided by its greatest absolute value, (..., H, W); zeros stay."""
    return _peak_is_one(attribution.sum(-3), (-2, -1))


def clamped(attribution: Tensor, limit: float = 0.1) -> Tensor:
    """Return the map of an attribution (..., C, H, W) whose peaks are cut, (..., H, W).

    It is divided by its greatest absolute value, cut to [-limit, limit] channel by channel, and :func:`summed`.

    Source: Tjoa & Guan, as the paper has it; :func:`clamped_legacy` is what was released.
    """
    return summed(_peak_is_one(attribution, (-3, -2, -1)).clamp(-limit, limit))


def clamped_legacy(attribution: Tensor, limit: float = 0.1) -> Tensor:
    """Return what the released code makes of an attribution: :func:`clamped` without the first division."""
    return summed(attribution.clamp(-limit, limit))


def _peak_is_one(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    peak = values.abs().amax(axes, keepdim=True)
    return values / peak.where(peak > 0, 1.0)


# --- counting ---------------------------------------------------------------------------------------------------------


def band_counts(
    map: Tensor, truth: Tensor, thresholds: tuple[tuple[float, float], ...], *, sign: Sign = "signed", scale: Scale = "peak"
) -> BandCounts:
    """Return the counts of maps in bands against truth in bands, at all pairs of thresholds, in one pass over the pixels.

    Thresholds are rounded to the precision of the map.

    Args:
        map: (..., H, W) floating.
        truth: (..., H, W) whole numbers -2 to 2.
        thresholds: K pairs (inner, outer).
        sign: What is done with negative values, before anything else.
        scale: What values are divided by.

    Raises:
        InputError: Shapes or types are other ones.
    """
    checked_whole(map, truth, low=-2, high=2)
    wide = (map.to(torch.float32) if map.dtype in (torch.float16, torch.bfloat16) else map).detach()
    shape, size = map.shape[:-2], map.shape[-1] * map.shape[-2]
    wide, truth = wide.reshape(-1, *map.shape[-2:]), truth.reshape(-1, size)
    least, most = extremes(wide)
    known = torch.isfinite(least) & torch.isfinite(most)
    peak = most.clamp(min=0) if sign == "positive" else torch.maximum(most, -least)
    peak = peak.where((peak > 0) & known, 1.0) if scale == "peak" else torch.ones_like(peak)
    pairs = torch.tensor(thresholds, dtype=torch.float64, device=map.device).to(wide.dtype)
    corners = torch.stack((-pairs[:, 1], -pairs[:, 0], pairs[:, 0], pairs[:, 1]))  # (4, K), each column increasing
    edges, place = torch.unique(corners, return_inverse=True)
    found = _placed(wide.reshape(-1, size), truth, edges, sign, peak)  # (n, 5, E + 1)
    below = found.cumsum(-1)[..., place]  # (n, 5, 4, K): pixels up to each threshold, by band of the truth
    total = found.sum(-1)[..., None, None].expand(*below.shape[:2], 1, below.shape[-1])
    by_band = torch.cat((below, total), 2).diff(dim=2, prepend=torch.zeros_like(total))  # (n, truth, band, K)
    tp = by_band[:, (0, 1, 3, 4), (0, 1, 3, 4)].sum(1)
    tn, zero = by_band[:, 2, 2], by_band[:, :, 2].sum(1)
    tp, fp, fn, tn = (part.reshape(*shape, -1) for part in (tp, size - zero - tp, zero - tn, tn))
    return BandCounts(tp, fp, fn, tn, size - found[:, 2].sum(-1).reshape(shape), known.reshape(shape))


def band_scores(counts: BandCounts) -> BandScores:
    """Return the four scores of counts: 0 where there is nothing to divide by.

    Precision and recall are nan without truth, all are nan for a map that is not finite.
    """
    tp, fp, fn, tn = (part.to(torch.float64) for part in counts[:4])
    known, some = counts.finite[..., None], (counts.finite & (counts.evidence > 0))[..., None]
    precision, recall, rate = (part / (part + rest).clamp(min=1) for part, rest in ((tp, fp), (tp, fn), (fp, tn)))
    accuracy = (tp + tn) / (tp + fp + fn + tn)
    return BandScores(accuracy.where(known, nan), precision.where(some, nan), recall.where(some, nan), rate.where(known, nan))


def band_scores_legacy(counts: BandCounts) -> BandScores:
    """Return the four scores as printed, with 1e-6 added to what is divided by: 0 without truth. Source: Tjoa & Guan."""
    tp, fp, fn, tn = (part.to(torch.float64) for part in counts[:4])
    precision, recall, rate = (part / (part + rest + _SMALL) for part, rest in ((tp, fp), (tp, fn), (fp, tn)))
    accuracy = (tp + tn) / (tp + fp + fn + tn)
    return BandScores(*(part.where(counts.finite[..., None], nan) for part in (accuracy, precision, recall, rate)))


def _placed(map: Tensor, truth: Tensor, edges: Tensor, sign: Sign, peak: Tensor) -> Tensor:
    """Return pixels of maps (n, N) by band of the truth and place between increasing edges (E,), (n, 5, E + 1) int64.

    Place j: above j edges, and not above the next. Values are divided by ``peak`` (n,).
    """
    (n, size), places = map.shape, len(edges) + 1
    find = _Finder(edges) if map.device.type == "cpu" else None
    found = torch.zeros(n, 5 * places, dtype=torch.int64, device=map.device)
    strip = _STRIP if find else _STRIP << 10
    maps, pixels = max(1, strip // size), min(size, strip)
    for first in range(0, n, maps):
        rows = slice(first, first + maps)
        number = torch.arange(len(map[rows]), dtype=torch.int32, device=map.device)[:, None] * (5 * places) + 2 * places
        for left in range(0, size, pixels):
            values = map[rows, left : left + pixels]
            values = values.abs() if sign == "absolute" else values.clamp(min=0) if sign == "positive" else values
            values = (values / peak[rows, None]).nan_to_num_()  # counts of maps that are not finite say nothing
            place = torch.from_numpy(find(values.numpy())) if find else torch.bucketize(values, edges, out_int32=True)
            key = truth[rows, left : left + pixels].to(torch.int32).mul_(places).add_(number).add_(place)
            found[rows] += torch.bincount(key.flatten(), minlength=found[rows].numel()).reshape(-1, 5 * places)
    return found.reshape(n, 5, places)


class _Finder:
    """Finds how many of some increasing edges are below each value, as ``searchsorted`` does, several times faster.

    Values are sorted into equal cells by a function that never decreases. An edge of an earlier cell is below a value, one of a
    later cell is not. So where no cell has two edges, one comparison is left.
    """

    def __init__(self, edges: Tensor) -> None:
        self.edges: NDArray[Any] = edges.cpu().numpy()
        kind = self.edges.dtype.type
        self.low, span = self.edges[0], self.edges[-1] - self.edges[0]
        self.rate = kind(_CELLS) / span if span > 0 else kind(1)
        cells = self.cell(self.edges)
        self.alone = len(np.unique(cells)) == len(cells)
        self.start = np.searchsorted(cells, np.arange(_CELLS)).astype(np.int16)
        self.next = np.append(self.edges, kind(np.inf))

    def cell(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return the cell of each value."""
        with np.errstate(over="ignore"):
            return ((values - self.low) * self.rate).clip(0, _CELLS - 1).astype(np.int16)

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return how many edges are below each value."""
        if not self.alone:
            return np.searchsorted(self.edges, values)
        start = self.start[self.cell(values)]
        return start + (values > self.next[start])
