"""Checks and sums over the two last axes of maps, whatever stands before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from miso_gen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

_LARGE: Final = 1 << 14  #: pixels from which on a map on the CPU is worked on by itself
_STRIP: Final = 1 << 16  #: pixels at a time, which stay in the cache


def checked(map: Tensor, truth: Tensor | None = None, *, binary: bool = False, mask: bool = True) -> None:
    """Raise :class:`InputError` unless map and truth are what a metric takes.

    Args:
        map: Must be (..., H, W) of at least one pixel; bool if ``binary``, else floating.
        truth: Must have the map's shape and device; bool if ``mask``.
        binary: Whether the metric takes a mask.
        mask: Whether the truth is evidence or not.
    """
    if map.ndim < 2 or not map.shape[-1] * map.shape[-2]:
        raise InputError(f"map must have shape (..., H, W) with a pixel at least, got {tuple(map.shape)}.")
    if binary and map.dtype != torch.bool:
        raise InputError(f"map must be a mask, of bool, got {map.dtype}. Give it to a binariser first.")
    if not binary and not map.is_floating_point():
        raise InputError(f"map must be floating, got {map.dtype}. Convert it first.")
    if truth is None:
        return
    if truth.shape != map.shape:
        raise InputError(f"truth must have the shape of the map, {tuple(map.shape)}, got {tuple(truth.shape)}.")
    if truth.device != map.device:
        raise InputError(f"truth must be on the device of the map, {map.device}, got {truth.device}.")
    if mask and truth.dtype != torch.bool:
        raise InputError(f"truth must be bool, got {truth.dtype}. Say which levels are evidence, such as truth >= 2.")


def finite(map: Tensor) -> Tensor:
    """Return which maps have finite values only, (...) bool."""
    least, most = extremes(map)
    return torch.isfinite(least) & torch.isfinite(most)


def extremes(map: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of each map, (...) each; nan where the map has nan."""
    flat = map.detach().flatten(-2)
    if map.device.type == "cpu" and flat.shape[-1] >= _LARGE and map.numel():  # torch is many times faster on one map
        rows = [one.aminmax() for one in flat.reshape(-1, flat.shape[-1])]
        least, most = (torch.stack(edges).reshape(map.shape[:-2]) for edges in zip(*rows, strict=True))
        return least, most
    if map.device.type == "cpu" and map.dtype in (torch.float32, torch.float64) and map.numel():  # numpy is faster on many
        values = flat.numpy()
        return torch.from_numpy(np.asarray(values.min(-1))), torch.from_numpy(np.asarray(values.max(-1)))
    least, most = torch.aminmax(flat, dim=-1)
    return least, most


def mean(map: Tensor) -> Tensor:
    """Return the mean of each map, (...) float64, summed in float64."""
    return total(map) / (map.shape[-2] * map.shape[-1])


def total(map: Tensor) -> Tensor:
    """Return the sum of each map, (...) float64, summed in float64."""
    if map.device.type == "cpu" and map.dtype in (torch.float32, torch.float64) and map.numel():  # numpy adds faster than torch
        return torch.from_numpy(np.asarray(map.flatten(-2).detach().numpy().sum(-1, dtype=np.float64)))
    return map.sum((-2, -1), dtype=torch.float64)


def total_on(map: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of each map over a mask (..., H, W) bool, (...) float64, summed in float64."""
    plane = map.shape[-2:]
    if map.device.type != "cpu" or map.dtype not in (torch.float32, torch.float64) or plane.numel() < _LARGE:
        return total(torch.where(mask, map, 0.0))
    pairs = zip(map.detach().reshape(-1, *plane).numpy(), mask.reshape(-1, *plane).numpy(), strict=True)
    sums = [float(one[marks].sum(dtype=np.float64)) for one, marks in pairs]
    return torch.tensor(sums, dtype=torch.float64).reshape(map.shape[:-2])


def strips(rows: int, cols: int) -> Iterator[slice]:
    """Yield rows of a plane that fit the cache together."""
    step = max(1, _STRIP // max(cols, 1))
    for top in range(0, rows if cols else 0, step):
        yield slice(top, min(top + step, rows))


def distance(map: Tensor, target: Tensor) -> Tensor:
    """Return the mean of abs(map - target) of each map, (...) float64, computed in float64.

    Args:
        map: (..., H, W) floating.
        target: (..., H, W), floating or bool.
    """
    plane = map.shape[-2:]
    narrow = target.dtype == torch.bfloat16 or map.dtype not in (torch.float32, torch.float64)
    if map.device.type != "cpu" or narrow or plane.numel() < _LARGE:
        return mean((map.to(torch.float64) - target.to(torch.float64)).abs_())
    pairs = zip(map.detach().reshape(-1, *plane).numpy(), target.detach().reshape(-1, *plane).numpy(), strict=True)
    sums = [sum(_apart(one[rows], other[rows]) for rows in strips(*plane)) for one, other in pairs]
    return torch.tensor(sums, dtype=torch.float64).reshape(map.shape[:-2]) / plane.numel()


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    away = np.subtract(one, other, dtype=np.float64)
    return float(np.abs(away, out=away).sum())


def number(mask: Tensor) -> Tensor:
    """Return how many pixels of each mask are True, (...) int64."""
    if mask.device.type == "cpu":  # numpy counts bytes many times faster than torch adds them
        return torch.from_numpy(np.asarray(np.count_nonzero(mask.flatten(-2).numpy(), axis=-1), np.int64))
    return mask.sum((-2, -1), dtype=torch.int64)


def over(map: Tensor, threshold: Tensor) -> Tensor:
    """Return where a map is above its threshold (...) float64, exactly, (..., H, W) bool; nowhere where that is nan."""
    if map.dtype == torch.float64:
        return _compared(np.greater, map, threshold)
    return _compared(np.greater, map.to(torch.float32), rounded_down(threshold))


def reaches(map: Tensor, threshold: Tensor) -> Tensor:
    """Return where a map is not below its threshold (...) float64, exactly, (..., H, W) bool; nowhere where that is nan."""
    if map.dtype == torch.float64:
        return _compared(np.greater_equal, map, threshold)
    return _compared(np.greater_equal, map.to(torch.float32), -rounded_down(-threshold))


def from_level(map: Tensor, level: Tensor) -> Tensor:
    """Return where a map of uint8 is not below its level (...) int64, 0 to 256, (..., H, W) bool."""
    found = _compared(np.greater_equal, map, level.clamp(max=255).to(torch.uint8))
    return found if bool((level <= 255).all()) else found & (level <= 255)[..., None, None]


def _compared(compare: Callable[..., Any], map: Tensor, threshold: Tensor) -> Tensor:
    """Return map against threshold, of one type; numpy compares with one number several times faster than torch broadcasts."""
    if map.device.type != "cpu" or map.shape[-1] * map.shape[-2] < _LARGE:
        found: Tensor = (torch.gt if compare is np.greater else torch.ge)(map, threshold[..., None, None])
        return found
    made = torch.empty(map.shape, dtype=torch.bool)
    flat, plane = threshold.expand(map.shape[:-2]).flatten().numpy(), map.shape[-2:]
    for out, one, value in zip(made.reshape(-1, *plane), map.detach().reshape(-1, *plane), flat, strict=True):
        compare(one.numpy(), value, out=out.numpy())
    return made


def rounded_down(threshold: Tensor) -> Tensor:
    """Return the greatest float32 that is not above a float64 number.

    A float32 is above a float64 threshold where it is above that number: no map need be widened to be compared.
    """
    near = threshold.to(torch.float32)
    below = torch.nextafter(near, torch.full_like(near, -torch.inf))
    return torch.where(near.to(torch.float64) > threshold, below, near)


def ratio(upper: Tensor, lower: Tensor) -> Tensor:
    """Return upper / lower in float64; nan where both are 0."""
    return upper.to(torch.float64) / lower.to(torch.float64)


def floating(map: Tensor) -> Tensor:
    """Return a map in floating numbers: k / 255 of bytes, in float32; 0 and 1 of a mask."""
    if map.dtype == torch.uint8:
        return map.to(torch.float32).div_(255)
    return map if map.is_floating_point() else map.to(torch.float32)
