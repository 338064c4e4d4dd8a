"""Marks of a map: the places that it points at, for scores that count detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.nn.functional import max_pool2d

from miso_gen.errors import InputError
from miso_gen.metrics.planes import checked

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class Marks(NamedTuple):
    """K marks of maps (..., H, W), map by map, row by row; on the CPU.

    Attributes:
        map: (K,) int64, number of the map among all of the batch.
        row: (K,) int64.
        col: (K,) int64.
        score: (K,) float64, value of the map there.
    """

    map: Tensor
    row: Tensor
    col: Tensor
    score: Tensor


def marks(map: Tensor, distance: int) -> Marks:
    """Return the marks of maps: the places of their local maxima.

    A pixel is a local maximum where no pixel at most ``distance`` rows and columns away is greater, and the map has a lower value
    somewhere. Local maxima that touch, at corners too, are one mark, at that of them which is nearest to their mean place, the
    first in rows on ties. Of marks at most ``distance`` rows and columns apart, which are then of one value, the first in rows
    stays. So a constant map has no mark, and a disc of one value has one, at its middle.

    Args:
        map: (..., H, W) floating; one that is not finite has no marks.
        distance: In px, from 1.

    Raises:
        InputError: ``distance`` or the map can't be.
    """
    checked(map)
    if distance < 1:
        raise InputError(f"distance must be at least 1, got {distance}.")
    wide = (map.to(torch.float32) if map.dtype in (torch.float16, torch.bfloat16) else map).detach()
    found = [_marks_of(number, plane, distance) for number, plane in enumerate(wide.reshape(-1, *map.shape[-2:]))]
    number, row, col, score = (torch.from_numpy(np.concatenate([np.empty(0), *(part[k] for part in found)])) for k in range(4))
    return Marks(number.to(torch.int64), row.to(torch.int64), col.to(torch.int64), score)


def _marks_of(number: int, map: Tensor, distance: int) -> tuple[NDArray[Any], ...]:
    least, most = map.aminmax()
    if not bool(torch.isfinite(least) & torch.isfinite(most)):
        return (np.empty(0),) * 4
    tops: Any
    if map.device.type == "cpu":
        plane = np.ascontiguousarray(map.numpy())
        tops = ((plane == _greatest_near(plane, distance)) & (plane > plane.dtype.type(least))).view(np.uint8)
    else:
        tops = ((map == _greatest_near_on_device(map, distance)) & (map > least)).to(torch.uint8).cpu().numpy()
    rows, cols = _middles(tops)
    score = map[torch.from_numpy(rows).to(map.device), torch.from_numpy(cols).to(map.device)].to(torch.float64).cpu().numpy()
    kept = _apart(rows, cols, score, distance)
    return np.full(int(kept.sum()), number), rows[kept], cols[kept], score[kept]


def _greatest_near(map: NDArray[Any], distance: int) -> NDArray[Any]:
    """Return the greatest value at most ``distance`` rows and columns away, (H, W)."""
    near: Any = map
    for shape in ((2 * min(distance, map.shape[0]) + 1, 1), (1, 2 * min(distance, map.shape[1]) + 1)):
        near = cv2.dilate(near, np.ones(shape, np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(near)


def _greatest_near_on_device(map: Tensor, distance: int) -> Tensor:
    """Return what :func:`_greatest_near` does, on any device."""
    near = max_pool2d(map[None], (2 * distance + 1, 1), 1, (distance, 0))
    return max_pool2d(near, (1, 2 * distance + 1), 1, (0, distance))[0]


def _middles(tops: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column, (K,) each, of the pixel of each connected part that is nearest to its mean place; in rows."""
    count, labels = cv2.connectedComponents(np.ascontiguousarray(tops), connectivity=8)[:2]
    rows, cols = np.divmod(np.flatnonzero(tops.view(np.bool_)), tops.shape[1])
    part = labels[rows, cols] - 1
    size = np.bincount(part, minlength=count - 1)
    away = np.zeros(len(rows))
    for axis in (rows, cols):
        # Mean places times the size are whole: so are the squares, and equal distances are equal numbers.
        away += (axis * size[part] - np.bincount(part, axis, count - 1).astype(np.int64)[part]).astype(np.float64) ** 2
    nearest = np.full(count - 1, np.inf)
    np.minimum.at(nearest, part, away)
    first = np.flatnonzero(away == nearest[part])[::-1]
    chosen = np.empty(count - 1, np.int64)
    chosen[part[first]] = first  # the last one written is the first in rows
    chosen.sort()
    return rows[chosen], cols[chosen]


def _apart(rows: NDArray[np.int64], cols: NDArray[np.int64], score: NDArray[np.float64], distance: int) -> NDArray[np.bool_]:
    """Return which marks stay: those without one that stays earlier in rows, at most ``distance`` rows and columns away."""
    kept = np.ones(len(rows), bool)
    cells: dict[tuple[int, int], tuple[int, int]] = {}  # squares of the distance: no two marks that stay are in the same
    found, times = np.unique(score, return_inverse=True, return_counts=True)[1:]
    tied = times[found] > 1  # marks that are near to one another have the same value
    for k in np.flatnonzero(tied & _has_neighbour(rows // distance, cols // distance)).tolist():
        row, col = int(rows[k]), int(cols[k])
        i, j = row // distance, col // distance
        for cell in ((i - 1, j - 1), (i - 1, j), (i - 1, j + 1), (i, j - 1), (i, j), (i, j + 1)):
            near = cells.get(cell)
            if near is not None and row - near[0] <= distance and abs(col - near[1]) <= distance:
                kept[k] = False
                break
        else:
            cells[i, j] = row, col
    return kept


def _has_neighbour(rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which marks are not alone in their square and the eight around it."""
    if not len(rows):
        return np.zeros(0, bool)
    number = np.zeros((int(rows.max()) + 3, int(cols.max()) + 3), np.int32)
    np.add.at(number, (rows + 1, cols + 1), 1)
    lines = number[:-2] + number[1:-1] + number[2:]
    return (lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:])[rows, cols] > 1
