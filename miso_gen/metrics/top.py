"""The highest values of a map: what share of them is evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from miso_gen.metrics.planes import checked, finite, number, over, ratio, reaches

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from miso_gen.metrics.joint import Joint

_SAMPLE: Final = 1 << 14  #: pixels of a sample, which says where a rank is
_MARGIN: Final = 400  #: places within the sample on either side: three standard deviations at the median


def top_share(map: Tensor, truth: Tensor, k: int | None) -> Tensor:
    """Return the share of evidence among the k highest pixels, (...) float64; the mean over all orders of ties.

    Args:
        map: (..., H, W) floating.
        truth: (..., H, W) bool.
        k: Pixels, all of them where there are fewer; None: as many as the truth has.

    Returns:
        nan without truth, and for a map that is not finite.
    """
    checked(map, truth)
    size, shape = map.shape[-2] * map.shape[-1], map.shape[:-2]
    flat, marks = map.detach().reshape(-1, size), truth.reshape(-1, size)
    evidence = number(marks[:, None])
    numbers = evidence if k is None else torch.full_like(evidence, min(k, size))
    least = kth_highest(flat, numbers.clamp(min=1)).to(torch.float64)
    level, above = (plane(map.reshape(-1, *map.shape[-2:]), least) for plane in (reaches, over))  # level: with those above
    marks = marks.reshape(level.shape)
    reached, hits, higher, every = (number(plane) for plane in (level & marks, above & marks, above, level))
    found = _share(hits, higher, reached - hits, every - higher, numbers).where(evidence > 0, torch.nan)
    return found.reshape(shape).where(finite(map), torch.nan)


def top_of_joint(joint: Joint, numbers: Tensor) -> Tensor:
    """Return the share of evidence among the highest pixels from a joint histogram, (...) float64; nan without truth.

    Args:
        joint: The joint histogram.
        numbers: (...) int64, how many pixels; all of them where there are fewer.
    """
    evidence, every = joint.evidence, joint.by_truth.sum(-2)
    numbers = torch.minimum(numbers, joint.size)
    upto = every.flip(-1).cumsum(-1).flip(-1)
    above = upto - every
    last = (above < numbers[..., None]) & (upto >= numbers[..., None])  # one level: that of the last pixel that fits
    hits = evidence.flip(-1).cumsum(-1).flip(-1) - evidence
    hits, above, level_hits, level = ((part * last).sum(-1) for part in (hits, above, evidence, every))
    return _share(hits, above, level_hits, level, numbers).where(evidence.sum(-1) > 0, torch.nan)


def _share(hits: Tensor, above: Tensor, level_hits: Tensor, level: Tensor, numbers: Tensor) -> Tensor:
    return (hits + ratio((numbers - above) * level_hits, level.clamp(min=1))) / numbers


def kth_highest(flat: Tensor, numbers: Tensor) -> Tensor:
    """Return the value of the pixel of each rank, from 1, in each row (n, N)."""
    if flat.device.type != "cpu":
        return flat.sort(-1, descending=True).values.gather(-1, numbers[:, None] - 1)[:, 0]
    wide = flat.to(torch.float32) if flat.dtype in (torch.float16, torch.bfloat16) else flat
    values = wide.detach().numpy()
    found = [_kth(row, k) for row, k in zip(values, numbers.tolist(), strict=True)]
    return torch.from_numpy(np.array(found, values.dtype)).to(flat.dtype)


def _kth(values: NDArray[Any], k: int) -> Any:
    """Return the k-th highest value of (N,). A sample says between which two it is likely to be, and only those are looked at."""
    size = len(values)
    step = size // _SAMPLE
    if step > 4:
        sample = np.sort(values[::step])
        place = len(sample) - k / step
        low, high = (int(min(max(place + way * _MARGIN, 0), len(sample) - 1)) for way in (-1, 1))
        above = values > sample[high]
        between = values[(values >= sample[low]) & ~above]
        rank = k - int(np.count_nonzero(above))
        if 0 < rank <= len(between):
            return np.partition(between, len(between) - rank)[len(between) - rank]
        if rank <= 0 and high == len(sample) - 1:
            between = values[above]
            return np.partition(between, len(between) - k)[len(between) - k]
    return np.partition(values, size - k)[size - k]
