"""Things that keep their distance: near pairs, first come first served, and pushing ellipses apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.scene.nuclei import Nuclei

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

_FAR_PX = 8.0
_LASTING = 6  #: rounds for which the pairs that are near are kept


def near_pairs(y: Floats, x: Floats, reach: float) -> tuple[Indices, Indices]:
    """Return every pair of points not farther than ``reach`` from each other, once, shape (p,) each.

    Args:
        y: (n,) rows.
        x: (n,) columns.
        reach: The distance, more than 0.
    """
    if len(y) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    rows = np.floor((y - y.min()) / reach).astype(np.int64)
    columns = np.floor((x - x.min()) / reach).astype(np.int64) + 1
    across = int(columns.max()) + 2
    keys = rows * across + columns
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    own = np.arange(len(keys))
    ends = np.searchsorted(keys, keys + 1, side="right")  # the rest of the own cell, and the cell to the right
    below = np.searchsorted(keys, keys + across - 1), np.searchsorted(keys, keys + across + 1, side="right")
    one, two = (np.concatenate(part) for part in zip(_ranges(own + 1, ends), _ranges(*below), strict=True))
    first, second = order[one], order[two]
    dy, dx = y[first] - y[second], x[first] - x[second]
    near = dy * dy + dx * dx <= reach * reach
    return first[near], second[near]


def _ranges(start: Indices, stop: Indices) -> tuple[Indices, Indices]:
    """Return (i, j) for every j in ``start[i]`` .. ``stop[i] - 1``."""
    counts = stop - start
    mine = np.repeat(np.arange(len(counts)), counts)
    return mine, np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts) + start[mine]


def first_come(count: int, first: Indices, second: Indices) -> NDArray[np.bool_]:
    """Return which of ``count`` things stay if each in turn stays unless it conflicts with one that stayed before.

    Args:
        count: How many things there are; lower numbers come first.
        first: (p,) one of each conflicting pair.
        second: (p,) the other.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    open_, stays = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    while open_.any():
        blocked = np.zeros(count, np.bool_)
        blocked[high] = True
        winners = open_ & ~blocked
        stays |= winners
        open_ &= blocked
        open_[high[winners[low]]] = False
        left = open_[low] & open_[high]
        low, high = low[left], high[left]
    return stays


def clearances(nuclei: Nuclei, first: Indices, second: Indices) -> tuple[Floats, Floats, Floats]:
    """Return how far pairs of ellipses are apart, negative where they may overlap, and the unit direction (y, x) of it.

    The distance is that between their shadows on a line: the best of three, along the centres and both short axes. Where it is
    positive the ellipses do not meet.
    """
    dy, dx = nuclei.row[second] - nuclei.row[first], nuclei.column[second] - nuclei.column[first]
    length = np.sqrt(dy * dy + dx * dx)
    there = length > 0.0
    safe = np.where(there, length, 1.0)
    best = np.full(len(first), -np.inf)
    best_y, best_x = np.zeros(len(first)), np.zeros(len(first))
    for ny, nx in (
        (dy / safe, np.where(there, dx / safe, 1.0)),
        (nuclei.cos[first], -nuclei.sin[first]),
        (nuclei.cos[second], -nuclei.sin[second]),
    ):
        along = ny * dy + nx * dx
        sign = np.where(along < 0.0, -1.0, 1.0)
        gap = along * sign - _shadow(nuclei, first, ny, nx) - _shadow(nuclei, second, ny, nx)
        better = gap > best
        best = np.where(better, gap, best)
        best_y, best_x = np.where(better, ny * sign, best_y), np.where(better, nx * sign, best_x)
    return best, best_y, best_x


def _shadow(nuclei: Nuclei, which: Indices, ny: Floats, nx: Floats) -> Floats:
    cos, sin = nuclei.cos[which], nuclei.sin[which]
    along = (nx * cos + ny * sin) * nuclei.major[which]
    across = (ny * cos - nx * sin) * nuclei.minor[which]
    return np.sqrt(along * along + across * across)


def pushed_apart(nuclei: Nuclei, height: int, width: int, *, gap_px: float, rounds: int, mobility: Floats) -> Nuclei:
    """Return the nuclei moved until their ellipses are ``gap_px`` apart, or as near to it as ``rounds`` rounds bring them.

    In each round every pair that is too near moves apart along its clearance, by most of what lacks.

    Args:
        nuclei: The nuclei.
        height: Rows of the canvas; centres stay on it, at least half a pixel from the border.
        width: Columns of the canvas.
        gap_px: The clearance to reach.
        rounds: How many rounds.
        mobility: (n,) how readily each moves, more than 0: two share the way in this proportion.
    """
    count = len(nuclei)
    reach = 2.0 * float(nuclei.major.max(initial=0.0)) + gap_px + _FAR_PX
    for number in range(rounds):
        if number % _LASTING == 0:
            first, second = near_pairs(nuclei.row, nuclei.column, reach)
        apart, ny, nx = clearances(nuclei, first, second)
        lacks = gap_px - apart
        tight = np.flatnonzero(lacks > 0.0)
        if not len(tight):
            break
        one, two, way = first[tight], second[tight], lacks[tight] * 0.9
        share = mobility[one] / (mobility[one] + mobility[two])
        ahead, back = way * (1.0 - share), way * share
        down, right = (
            np.bincount(two, ahead * n, minlength=count) - np.bincount(one, back * n, minlength=count)
            for n in (ny[tight], nx[tight])
        )
        nuclei = nuclei.moved(
            np.minimum(np.maximum(nuclei.row + down, 0.5), height - 0.5),
            np.minimum(np.maximum(nuclei.column + right, 0.5), width - 0.5),
        )
        if number % _LASTING == 0:  # the others are too far to meet before pairs are looked for again
            close = lacks > -_FAR_PX
            first, second = first[close], second[close]
    return nuclei
