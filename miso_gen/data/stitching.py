"""Values of patches -> one map: the way back from patches to the image.

A map of patches lives on cells of half a patch. A patch covers 2 x 2 cells, and shares each with one patch of the other grid.
A cell's value is the mean over the patches that cover it, nan where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from miso_gen.data.patches import PatchTable


@dataclass(frozen=True)
class Cells:
    """The cells of an image: all that lie wholly in it.

    Attributes:
        rows: floor(height / px).
        cols: floor(width / px).
        px: Side of a cell, half that of a patch.
        origin: Topmost and leftmost pixel of the first cell: always (0, 0).
    """

    rows: int
    cols: int
    px: int
    origin: tuple[int, int] = (0, 0)

    def canvas(self, values: ArrayLike, height: int, width: int) -> NDArray[np.float64]:
        """Return a map of cells (rows, cols) as one of pixels (height, width), float64; nan right of and below the last cell."""
        cells = np.asarray(values, np.float64)
        if cells.shape != (self.rows, self.cols):
            raise InputError(f"values must be a map of {self.rows} x {self.cols} cells, got shape {cells.shape}.")
        out = np.full((height, width), np.nan)
        painted = np.repeat(np.repeat(cells, self.px, axis=0), self.px, axis=1)
        (top, left), (rows, columns) = self.origin, painted.shape
        out[top : top + rows, left : left + columns] = painted
        return out


def cells_of(table: PatchTable, image: str) -> Cells:
    """Return the cells of an image of a table.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: The size of its patches is odd.
    """
    if image not in table.ids:
        raise UnknownNameError("image", image, table.ids)
    if table.size % 2:
        raise InputError(f"size of patches must be even to be stitched, got {table.size}. Cells are half a patch.")
    px = table.size // 2
    height, width = table.shapes[table.ids.index(image)]
    return Cells(height // px, width // px, px)


def stitch(table: PatchTable, values: ArrayLike, image: str) -> NDArray[np.float64]:
    """Return the map of an image: the mean of the values of the patches that cover each cell.

    Args:
        table: The patches, those that were kept.
        values: (n,) one number for each patch of the whole table; those of other images are not looked at.
        image: Id of the image.

    Returns:
        (rows, cols) float64, see :func:`cells_of`; nan where no patch is, or where one that is has nan.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: The size of its patches is odd, or the number of values is another than that of patches.
    """
    cells = cells_of(table, image)
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (len(table),):
        raise InputError(f"values must be one number a patch, shape ({len(table)},), got shape {numbers.shape}.")
    sums, counts = np.zeros(cells.rows * cells.cols), np.zeros(cells.rows * cells.cols, np.int64)
    for rows, places in _covered(table, image, cells):
        sums += np.bincount(places, numbers[rows], minlength=len(sums))
        counts += np.bincount(places, minlength=len(counts))
    with np.errstate(invalid="ignore"):
        return (sums / counts).reshape(cells.rows, cells.cols)


def positive_cells(table: PatchTable, image: str, *, positive: int = 2, min_share: float = 0.1) -> NDArray[np.bool_]:
    """Return which cells of an image are positive: every patch that covers them shows more than ``min_share`` of truth.

    Only patches of the table count. So that the truth does not depend on what was left out as background, give a table of all
    patches (``background="keep"``).

    Args:
        table: The patches.
        image: Id of the image.
        positive: 1: share of object; 2: share of evidence.
        min_share: Share that is too little, in [0, 1].

    Returns:
        (rows, cols) bool, see :func:`cells_of`; False where no patch is.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: The size of its patches is odd, or the share is not in the table or not known.
    """
    cells = cells_of(table, image)
    if positive not in (1, 2):
        raise InputError(f"positive must be 1 or 2, got {positive!r}.")
    if positive == 2 and table.positive != 2:
        raise InputError("positive=2 must have a table of positive=2, got one of positive=1. Make the table anew.")
    shares = table.object_share if positive == 1 else table.evidence_share
    if np.isnan(shares[table.image == table.ids.index(image)]).any():
        raise InputError(f"evidence of {image} must be known, got an image whose evidence nobody knows. Use positive=1.")
    covered, failed = (np.zeros(cells.rows * cells.cols, bool) for _ in range(2))
    for rows, places in _covered(table, image, cells):
        covered[places] = True
        failed[places[~(shares[rows] > min_share)]] = True
    return (covered & ~failed).reshape(cells.rows, cells.cols)


def _covered(table: PatchTable, image: str, cells: Cells) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, for each of the four quarters of a patch, rows of the table and the number of the cell that they cover."""
    rows = np.flatnonzero(table.image == table.ids.index(image))
    row, col = table.row[rows] // cells.px, table.col[rows] // cells.px
    for down in (0, 1):
        for right in (0, 1):
            yield rows, (row + down) * cells.cols + col + right
