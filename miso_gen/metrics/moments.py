"""Number, mean and spread of a map's values, in the four quadrants of an image and with and without evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from miso_gen.metrics.planes import strips

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from miso_gen.metrics.joint import Joint

_LARGE: Final = 1 << 14  #: pixels from which on a map on the CPU is worked on by itself


class Moments(NamedTuple):
    """Of maps, each (..., 4, 2) float64: by quadrant (upper left and right, lower left and right), without and with evidence.

    A constant map has equal means and no spread, exactly.

    Attributes:
        number: Pixels.
        mean: Mean value; of no account where there are no pixels.
        spread: Sum of squared distances from that mean.
    """

    number: Tensor
    mean: Tensor
    spread: Tensor


def moments(map: Tensor, truth: Tensor, split: Tensor) -> Moments:
    """Return the moments of maps (..., H, W), floating, with truth (..., H, W) bool.

    Args:
        map: The maps.
        truth: Where there is evidence.
        split: (..., 2) int64, first row and column of the lower right quadrant.
    """
    shape, (rows, cols) = map.shape[:-2], map.shape[-2:]
    flat, marks, cuts = map.reshape(-1, rows, cols), truth.reshape(-1, rows, cols), split.expand(*shape, 2).reshape(-1, 2)
    first = _first(flat, cuts)
    summed = _sums_apart if map.device.type == "cpu" and rows * cols >= _LARGE else _sums_together
    sums = summed(flat, marks, cuts, first)
    number, total, squares = (part.reshape(*shape, 4, 2) for part in sums)
    away = total / number.clamp(min=1)
    mean = first.reshape(*shape, 4, 1) + away
    return Moments(number, mean, (squares - total * away).clamp(min=0))


def moments_of(joint: Joint) -> Moments:
    """Return the moments that a joint histogram by quadrant says."""
    counts = joint.counts.to(torch.float64)
    values = (joint.values if joint.values.ndim == 1 else joint.values[..., None, None, :]).expand(counts.shape)
    number = counts.sum(-1)
    held = joint.counts.sum(-2, keepdim=True) > 0  # levels of a quadrant
    first = values[..., :1, :].gather(-1, held.to(torch.int8).argmax(-1, keepdim=True))
    away = values - first
    mean = (counts * away).sum(-1) / number.clamp(min=1)
    spread = (counts * (away - mean[..., None]).square()).sum(-1)
    return Moments(number, first.squeeze(-1) + mean, spread)


def _first(map: Tensor, cuts: Tensor) -> Tensor:
    """Return the value of the first pixel of each quadrant, (n, 4) float64: others are taken as distances from it."""
    rows, cols = map.shape[-2:]
    top = torch.stack([torch.zeros_like(cuts[:, 0]), cuts[:, 0].clamp(0, rows - 1)], 1)
    left = torch.stack([torch.zeros_like(cuts[:, 1]), cuts[:, 1].clamp(0, cols - 1)], 1)
    which = torch.arange(len(map), device=map.device)[:, None, None]
    return map[which, top[:, :, None], left[:, None, :]].to(torch.float64).reshape(-1, 4)


def _sums_together(map: Tensor, truth: Tensor, cuts: Tensor, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return number, sum, and sum of squares of distances from ``first``, (n, 4, 2) each."""
    rows, cols = map.shape[-2:]
    below = (torch.arange(rows, device=map.device) >= cuts[:, :1]).to(torch.int64)
    right = (torch.arange(cols, device=map.device) >= cuts[:, 1:]).to(torch.int64)
    place = 2 * below[:, :, None] + right[:, None, :]
    away = map.to(torch.float64) - first.gather(1, place.flatten(1)).reshape(map.shape)
    upper, left = (torch.nn.functional.one_hot(part, 2).to(torch.float64) for part in (below, right))
    evidence = truth.to(torch.float64)
    found = []
    for plane in (None, away, away.square()):
        parts = []
        for weight in (1.0 - evidence, evidence):
            seen = weight if plane is None else plane * weight
            parts.append((upper.mT @ seen @ left).reshape(-1, 4))
        found.append(torch.stack(parts, -1))
    return found[0], found[1], found[2]


def _sums_apart(map: Tensor, truth: Tensor, cuts: Tensor, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`_sums_together`, in strips."""
    rows, cols = map.shape[-2:]
    wide = map.to(torch.float32) if map.dtype in (torch.float16, torch.bfloat16) else map
    found = np.zeros((3, len(map), 4, 2))
    for k, (shown, marks) in enumerate(zip(wide.detach().numpy(), truth.numpy(), strict=True)):
        row, col = (min(max(int(cut), 0), side) for cut, side in zip(cuts[k], (rows, cols), strict=True))
        places = [(0, row, 0, col), (0, row, col, cols), (row, rows, 0, col), (row, rows, col, cols)]
        for quadrant, (top, bottom, start, end) in enumerate(places):
            base = float(first[k, quadrant])
            values, evidence = shown[top:bottom, start:end], marks[top:bottom, start:end]
            for strip in strips(bottom - top, end - start):
                away = np.subtract(values[strip], base, dtype=np.float64)
                inside = away[evidence[strip]]
                every, seen = _sums(away), _sums(inside)
                found[:, k, quadrant] += [(all_ - part, part) for all_, part in zip(every, seen, strict=True)]
    number, total, squares = (torch.from_numpy(part) for part in found)
    return number, total, squares


def _sums(away: NDArray[np.float64]) -> tuple[int, float, float]:
    """Return number, sum, and sum of squares, which overwrite the values: a product by BLAS would start threads."""
    total = float(away.sum())
    return away.size, total, float(np.square(away, out=away).sum())
