"""The joint histogram of map and truth: how many pixels of each level are evidence, and how many are not.

Whatever compares the values of a map with thresholds, with one another or with their mean follows from it: one pass over the
pixels serves them all. Histograms of tiles add up to that of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch

from miso_gen.errors import InputError
from miso_gen.metrics.planes import checked, extremes, finite

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_LARGE: Final = 1 << 14  #: pixels from which on a map is counted by itself
_STRIP: Final = 1 << 18  #: pixels that are counted at a time: they stay in the cache, and OpenCV counts exactly up to 2^24


@dataclass(frozen=True, eq=False)  # tensors don't compare to one truth
class Joint:
    """The joint histogram of maps (..., H, W) and their truth.

    Attributes:
        counts: (..., Q, 2, L) int64: pixels by quadrant, truth (0: none, 1: evidence) and level. Q is 1, or 4: upper left, upper
            right, lower left and lower right, see :func:`joint_histogram`.
        values: (L,) or (..., L) float64, value of each level, increasing. Levels after the last one with pixels may repeat it.
        error: Greatest distance of a pixel's value from that of its level; 0: exact.
    """

    counts: Tensor
    values: Tensor
    error: float

    @cached_property
    def by_truth(self) -> Tensor:
        """Pixels by truth and level, (..., 2, L) int64."""
        return self.counts.sum(-3) if self.counts.shape[-3] > 1 else self.counts.squeeze(-3)

    @property
    def background(self) -> Tensor:
        """Pixels without evidence by level, (..., L) int64."""
        return self.by_truth[..., 0, :]

    @property
    def evidence(self) -> Tensor:
        """Pixels with evidence by level, (..., L) int64."""
        return self.by_truth[..., 1, :]

    @cached_property
    def size(self) -> Tensor:
        """Pixels, (...) int64."""
        return self.by_truth.sum((-2, -1))

    @cached_property
    def mean(self) -> Tensor:
        """Mean of the map, (...) float64."""
        return (self.by_truth.sum(-2) * self.values).sum(-1) / self.size

    def __add__(self, other: Joint) -> Joint:
        """Return the joint histogram of both sets of pixels: of two tiles, that of both.

        Raises:
            InputError: The batches or the quadrants differ, or the levels do and are not exact.
        """
        here, there = self.counts.shape[:-1], other.counts.shape[:-1]
        if here != there:
            raise InputError(f"joint histograms must be of the same batch and quadrants, got {tuple(here)} and {tuple(there)}.")
        if self.values.shape == other.values.shape and torch.equal(self.values, other.values):
            return Joint(self.counts + other.counts, self.values, max(self.error, other.error))
        if self.error or other.error:
            raise InputError("joint histograms must have the same levels, got different ones. Use the same levels, low and high.")
        return _united(self, other)


def joint_histogram(
    map: Tensor,
    truth: Tensor,
    *,
    levels: int | None = 256,
    low: float = 0.0,
    high: float = 1.0,
    split: Tensor | None = None,
) -> Joint:
    """Return the joint histogram of maps and their truth.

    A map of uint8 has the 256 values k / 255 and is exact. A floating map is rounded to ``levels`` values from ``low`` to
    ``high``, to the nearest, ties to even, in the map's own precision: its ``error`` is half a step. With ``levels`` None each
    value is a level of its own, which sorts the map.

    Args:
        map: (..., H, W), floating and finite, or uint8.
        truth: (..., H, W) bool, where there is evidence.
        levels: Number of levels from 2; None: exact. Of no account for uint8.
        low: Value of the first level; no value of the map is less.
        high: Value of the last level; no value of the map is greater.
        split: (..., 2) int64, first row and column of the lower right quadrant; None: all in one. May lie outside of a tile.

    Raises:
        InputError: Shapes or types are other ones, or the map is not finite or leaves the range.
    """
    checked(map if map.dtype != torch.uint8 else map.to(torch.bool), truth, binary=map.dtype == torch.uint8)
    shape, (rows, cols) = map.shape[:-2], map.shape[-2:]
    flat, marks = map.detach().reshape(-1, rows, cols), truth.reshape(-1, rows, cols)
    cuts = None if split is None else split.reshape(-1, 2).expand(len(flat), 2)
    if map.dtype != torch.uint8 and not bool(finite(map).all()):
        raise InputError("map must be finite, got nan or infinity. Fill or leave out such pixels first.")
    if map.dtype != torch.uint8 and levels is None:
        counts, values = _exact(flat, marks, cuts)
        return Joint(counts.reshape(*shape, *counts.shape[1:]), values.reshape(*shape, -1), 0.0)
    if map.dtype == torch.uint8:
        steps, low, high, error = 256, 0.0, 1.0, 0.0
    else:
        steps, error = _checked_levels(flat, levels, low, high), 0.5 * (high - low) / ((levels or 2) - 1)
    count = _counted_apart if map.device.type == "cpu" and steps == 256 and rows * cols >= _LARGE else _counted_together
    counts = count(flat, marks, cuts, steps, low, high)
    values = low + torch.arange(steps, dtype=torch.float64, device=map.device) * ((high - low) / (steps - 1))
    if (low, high) == (0.0, 1.0):
        values = torch.arange(steps, dtype=torch.float64, device=map.device) / (steps - 1)  # the nearest numbers to k / 255
    return Joint(counts.reshape(*shape, *counts.shape[1:]), values, error)


def centroid(truth: Tensor) -> Tensor:
    """Return mean row and column of the evidence, rounded to even, (..., 2) int64; of all pixels where there is none.

    Args:
        truth: (..., H, W) bool.
    """
    found = []
    for axis in (-2, -1):
        pixels = _along(truth, axis)
        places = torch.arange(truth.shape[axis], dtype=torch.int64, device=truth.device)
        mean = (pixels * places).sum(-1).to(torch.float64) / pixels.sum(-1)
        found.append(mean.round().where(pixels.sum(-1) > 0, round(truth.shape[axis] / 2)).to(torch.int64))
    return torch.stack(found, -1)


def _along(truth: Tensor, axis: int) -> Tensor:
    """Return the evidence in each row (axis -2) or column (axis -1), (..., H) or (..., W) int64."""
    other, plane = -3 - axis, truth.shape[-2:]
    if truth.device.type != "cpu":
        return truth.sum(other, dtype=torch.int64)
    if plane.numel() < _LARGE:
        return torch.from_numpy(np.asarray(np.count_nonzero(truth.numpy(), axis=other), np.int64))
    found = np.empty((truth.shape[:-2].numel(), plane[axis]), np.int64)
    for out, marks in zip(found, truth.reshape(-1, *plane).numpy().view(np.uint8), strict=True):
        sums: Any = cv2.reduce(np.ascontiguousarray(marks), other + 2, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
        out[:] = sums.reshape(-1)
    return torch.from_numpy(found).reshape(*truth.shape[:-2], -1)


def _checked_levels(flat: Tensor, levels: int | None, low: float, high: float) -> int:
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
        raise InputError(f"levels must be a whole number from 2, or None, got {levels!r}.")
    if not low < high:
        raise InputError(f"low must be less than high, got {low!r} and {high!r}.")
    if flat.numel():
        least, most = (float(edge) for edge in _range(flat))
        if least < low or most > high:
            raise InputError(
                f"map must be from {low:g} to {high:g}, got {least:g} to {most:g}. Normalise it, or say low and high."
            )
    return levels


def _range(flat: Tensor) -> tuple[Tensor, Tensor]:
    least, most = extremes(flat)
    return least.min(), most.max()


def _level(map: Tensor, levels: int, low: float, high: float) -> Tensor:
    """Return the level of each pixel, in the map's precision, or in float32 where that is less."""
    wide = map.to(torch.float32) if map.dtype in (torch.float16, torch.bfloat16) else map
    shifted = wide - low if low else wide
    return (shifted * ((levels - 1) / (high - low))).round_()


# --- counting levels --------------------------------------------------------------------------------------------------


def _quadrant(shape: torch.Size, cuts: Tensor, device: torch.device, unit: int = 1, kind: torch.dtype = torch.int64) -> Tensor:
    """Return the quadrant 0 to 3 of each pixel times a unit, (n, H, W) of a type."""
    row = (torch.arange(shape[-2], device=device)[:, None] >= cuts[:, 0, None, None]).to(kind) * (2 * unit)
    col = (torch.arange(shape[-1], device=device) >= cuts[:, 1, None, None]).to(kind) * unit
    return row + col


def _counted_together(map: Tensor, truth: Tensor, cuts: Tensor | None, levels: int, low: float, high: float) -> Tensor:
    """Return (n, Q, 2, L) int64: one count over all the maps."""
    n, quadrants = len(map), 1 if cuts is None else 4
    room = quadrants * 2 * levels
    kind = torch.int32 if n * room < 1 << 31 else torch.int64  # half the bytes, half the time
    place = truth.to(kind).mul_(levels)
    place += torch.arange(n, dtype=kind, device=map.device)[:, None, None] * room
    if cuts is not None:
        place += _quadrant(map.shape, cuts, map.device, 2 * levels, kind)
    place += (map if map.dtype == torch.uint8 else _level(map, levels, low, high)).to(kind)
    counts = torch.bincount(place.flatten(), minlength=n * room)
    return counts.reshape(n, quadrants, 2, levels)


def _counted_apart(map: Tensor, truth: Tensor, cuts: Tensor | None, levels: int, low: float, high: float) -> Tensor:
    """Return (n, Q, 2, 256) int64 of large maps on the CPU: OpenCV counts bytes faster than anything counts indices."""
    n, rows, cols = map.shape
    counts = np.zeros((n, 1 if cuts is None else 4, 2, levels), np.int64)
    for k in range(n):
        row, col = (
            (rows, cols)
            if cuts is None
            else (min(max(int(cut), 0), side) for cut, side in zip(cuts[k], (rows, cols), strict=True))
        )
        for number, (top, bottom, left, right) in enumerate(
            [(0, row, 0, col), (0, row, col, cols), (row, rows, 0, col), (row, rows, col, cols)]
        ):
            step = max(1, _STRIP // max(right - left, 1))
            for start in range(top, bottom if left < right else top, step):
                place = k, slice(start, min(start + step, bottom)), slice(left, right)
                part = map[place]
                level = (part if map.dtype == torch.uint8 else _level(part, levels, low, high).to(torch.uint8)).numpy()
                every, evidence = (_bytes(level, mask) for mask in (None, truth[place].numpy().view(np.uint8)))
                counts[k, number] += every - evidence, evidence
    return torch.from_numpy(counts)


def _bytes(level: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> NDArray[np.int64]:
    rows, marks = (None if part is None else np.ascontiguousarray(part) for part in (level, mask))
    found: Any = cv2.calcHist([rows], [0], marks, [256], [0, 256])
    return found.reshape(-1).astype(np.int64)  # OpenCV 4 has a second axis


# --- every value a level ----------------------------------------------------------------------------------------------


def _exact(map: Tensor, truth: Tensor, cuts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return counts (n, Q, 2, L) int64 and values (n, L) float64 of maps (n, H, W), each value a level."""
    n, size, quadrants = len(map), map.shape[-1] * map.shape[-2], 1 if cuts is None else 4
    classes = truth if cuts is None else (2 * _quadrant(map.shape, cuts, map.device) + truth).to(torch.uint8)
    values, classes = _sorted(map.reshape(n, size), classes.reshape(n, size), bits=1 if cuts is None else 3)
    last = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[:, 1:], values[:, :-1], out=last[:, :-1])
    groups = last.sum(-1) if n > 1 else torch.count_nonzero(last)[None]
    longest = int(groups.max()) if n else 0
    if n and int(groups.min()) == size:  # no two pixels are alike
        counts = torch.stack([classes == number for number in range(2 * quadrants)], 1).to(torch.int64)
        return counts.reshape(n, quadrants, 2, size), values.to(torch.float64)
    ends = last.flatten().nonzero()[:, 0]
    place: Any = slice(None)
    if n > 1:  # maps of fewer values end with levels of no pixels
        row = ends // size
        place = row * longest + torch.arange(len(ends), device=ends.device) - (groups.cumsum(0) - groups)[row]
    padded = values[:, -1:].to(torch.float64).repeat(1, longest).flatten()
    padded[place] = values.flatten()[ends].to(torch.float64)
    counts = torch.zeros(2 * quadrants, n * longest, dtype=torch.int64, device=values.device)
    counts[0, place] = ends.diff(prepend=ends.new_full((1,), -1))
    for number in range(1, 2 * quadrants):
        upto = (classes == number).flatten().cumsum(0)[ends]
        counts[number, place] = upto.diff(prepend=upto.new_zeros(1))
        counts[0] -= counts[number]
    return counts.reshape(quadrants, 2, n, longest).movedim(2, 0), padded.reshape(n, longest)


def _sorted(values: Tensor, classes: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return values (n, N), each row sorted, in their type or float32, and the class of each (n, N) uint8."""
    if values.dtype == torch.float64:
        values, order = (values + 0.0).sort(-1)
        return values, classes.to(torch.uint8).gather(-1, order)
    # A value and its class in one whole number: numbers alone are sorted several times faster than numbers with their order.
    whole = (values.to(torch.float32) + 0.0).view(torch.int32)  # + 0: there is no -0
    if bits == 1 and whole.device.type == "cpu" and bool((whole >= 0).all()):  # half the bytes, half the time
        small = whole.numpy().view(np.uint32)
        small <<= 1
        small |= classes.numpy()
        small.sort(-1)
        classes = torch.from_numpy((small & 1).astype(np.uint8))
        small >>= 1
        return whole.view(torch.float32), classes
    keys = _ascending(((whole ^ ((whole >> 31) & 0x7FFFFFFF)).to(torch.int64) << bits) | classes)
    classes = (keys & ((1 << bits) - 1)).to(torch.uint8)
    whole = keys.bitwise_right_shift_(bits).to(torch.int32)
    return (whole ^ ((whole >> 31) & 0x7FFFFFFF)).view(torch.float32), classes


def _ascending(keys: Tensor) -> Tensor:
    """Return whole numbers (n, N), each row sorted; on the CPU in place, by numpy, whose sort is faster than torch's."""
    if keys.device.type != "cpu":
        return keys.sort(-1).values
    keys.numpy().sort(-1)
    return keys


def _united(one: Joint, two: Joint) -> Joint:
    """Return the sum of exact histograms of different values."""
    shape, (quadrants, _) = one.counts.shape[:-3], one.counts.shape[-3:-1]
    parts = [
        (
            part.values.expand(*shape, -1).reshape(-1, part.values.shape[-1]),
            part.counts.reshape(-1, 2 * quadrants, part.counts.shape[-1]),
        )
        for part in (one, two)
    ]
    values, order = torch.cat([part[0] for part in parts], -1).sort(dim=-1, stable=True)
    counts = torch.cat([part[1] for part in parts], -1).gather(-1, order[:, None].expand(-1, 2 * quadrants, -1))
    last = torch.ones_like(values, dtype=torch.bool)
    last[:, :-1] = values[:, 1:] != values[:, :-1]
    group = last.cumsum(-1) - last.to(torch.int64)
    longest = int(group.max()) + 1
    united = torch.zeros(*counts.shape[:-1], longest, dtype=torch.int64, device=counts.device)
    united.scatter_add_(-1, group[:, None].expand_as(counts), counts)
    kept = values[:, -1:].repeat(1, longest).scatter_(-1, group, values)
    return Joint(united.reshape(*shape, quadrants, 2, longest), kept.reshape(*shape, longest), 0.0)
