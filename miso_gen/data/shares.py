"""What patches of a stored image show: object, evidence, and how bright they are. Exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.store import StoredArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.data.grid import Patches
    from miso_gen.store import ImageView

CELL = 16  #: side of a cell of the stored summary, px
_TILE = 1024  #: side of what is read at once, in pixels or in cells
_TOPS = {"uint8": 255, "uint16": 65535, "float32": 65535}  #: whole number that stands for 1.0; float32 is rounded to 16 bits


@dataclass(frozen=True)
class Shares:
    """Of each patch, float64: shares of truth >= 1 and of truth == 2, and mean, all in [0, 1]."""

    ones: NDArray[np.float64]
    twos: NDArray[np.float64]
    mean: NDArray[np.float64]


def measure(view: ImageView, patches: Patches, size: int) -> Shares:
    """Return what the patches of an image show."""
    sums = np.zeros((3, len(patches)), np.int64)
    done: dict[int, NDArray[np.int64]] = {}  # by origin: the second grid of "legacy" is the first again
    for grid in np.unique(patches.grid).tolist():
        mine = np.flatnonzero(patches.grid == grid)
        start = int(patches.row[mine[0]])
        if start not in done:
            rows, columns = int(patches.i[mine[-1]]) + 1, int(patches.j[mine[-1]]) + 1
            done[start] = _grid_sums(view, start, rows, columns, size)
        sums[:, mine] = done[start]
    channels = view.shape[0]
    area = float(size * size)
    top = _TOPS[view.attributes["dtype"]] * channels
    return Shares(sums[1] / area, sums[2] / area, sums[0] / (area * top))


def _grid_sums(view: ImageView, start: int, rows: int, columns: int, size: int) -> NDArray[np.int64]:
    """Return the sums of pixels, truth >= 1 and truth == 2 of a grid of patches that lie side by side, (3, rows * columns)."""
    from_summary = start % CELL == 0 and size % CELL == 0
    unit = CELL if from_summary else 1
    source = StoredArray(view.target, f"{view.path}/summary") if from_summary else None
    side = size // unit
    step = max(1, _TILE // side)  # patches along a tile
    out = np.empty((3, rows, columns), np.int64)
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            bottom, right = min(top + step, rows), min(left + step, columns)
            edges = (start // unit + number * side for number in (top, left, bottom, right))
            box = Box(*edges)
            planes = source.read(box) if source is not None else _pixel_planes(view, box)
            for plane, part in zip(planes, out[:, top:bottom, left:right], strict=True):
                part[...] = _block_sums(plane, side)
    return out.reshape(3, -1)


def _pixel_planes(view: ImageView, box: Box) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what the summary would hold if its cells were pixels, each (h, w)."""
    pixels, truth = view.read(box)
    if pixels.dtype.kind == "f":
        pixels = np.floor(np.clip(pixels, 0, 1).astype(np.float64) * _TOPS["float32"] + 0.5).astype(np.uint16)
    added = pixels[0] if len(pixels) == 1 else pixels.sum(axis=0, dtype=np.uint32)
    return added, truth >= 1, truth == 2


def _block_sums(plane: NDArray[Any], side: int) -> NDArray[np.int64]:
    """Return the sums of squares that lie side by side, (h / side, w / side)."""
    height, width = plane.shape
    # Rows first, so that whole rows are added at once; in 32 bits where they can't overflow, which is faster.
    small = (
        plane.dtype.kind == "b" or (plane.dtype == np.uint8 and side < 1 << 24) or (plane.dtype == np.uint16 and side < 1 << 16)
    )
    rows = np.add.reduce(plane.reshape(-1, side, width), axis=1, dtype=np.uint32 if small else np.int64)
    return np.add.reduce(rows.reshape(height // side, -1, side), axis=2, dtype=np.int64)
