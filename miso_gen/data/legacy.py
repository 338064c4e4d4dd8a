"""Patches as the released code of MISO cuts and overlays them, for numbers that compare with published ones.

The paper shifts its second grid by half a patch. The released code names the patches of the second grid as if they were shifted,
but cuts them where the first grid lies: every crop is there twice, and an image of R x C patches has exactly 2 R C.

Its maps have cells of half a patch, one more row and column of patches than there are, and always divide by two, so that a cell
which one patch covers has half its value. :mod:`miso_gen.data.stitching` has the rule of the paper.

Source: MISO, released code.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from miso_gen.data.grid import Patches
    from miso_gen.data.patches import PatchTable


def twice(patches: Patches) -> Patches:
    """Return the patches of grid 0, then the same places as grid 1."""
    repeated = {field.name: np.tile(getattr(patches, field.name), 2) for field in fields(patches)}
    repeated["grid"][len(patches) :] = 1
    return type(patches)(**repeated)


def legacy_overlay(
    table: PatchTable, values: ArrayLike, image: str, *, dropped: float = -1.0, start: float = 0.0
) -> NDArray[np.float64]:
    """Return the map of an image of R x C patches: both grids, 2 x 2 cells a patch, grid 1 one cell lower and to the right.

    Each grid has (R + 1) x (C + 1) places. The map is (start + grid 0 + grid 1) / 2, where a grid does not reach it adds nothing.

    Args:
        table: The patches, those that were kept.
        values: (n,) one number for each patch of the whole table.
        image: Id of the image.
        dropped: Value of places without a patch: -1 for pixel means and labels, 0 for scores.
        start: Value that the map starts at: 0; -1 for labels.

    Returns:
        (2 (R + 1) + 1, 2 (C + 1) + 1) float64.

    Raises:
        UnknownNameError: The table has no such image.
        InputError: The number of values is another than that of patches.
    """
    if image not in table.ids:
        raise UnknownNameError("image", image, table.ids)
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (len(table),):
        raise InputError(f"values must be one number a patch, shape ({len(table)},), got shape {numbers.shape}.")
    number = table.ids.index(image)
    height, width = table.shapes[number]
    rows, columns = height // table.size + 1, width // table.size + 1
    out = np.full((2 * rows + 1, 2 * columns + 1), start, np.float64)
    for grid in (0, 1):
        mine = (table.image == number) & (table.grid == grid)
        places = np.full((rows, columns), dropped, np.float64)
        places[table.i[mine], table.j[mine]] = numbers[mine]
        out[grid : grid + 2 * rows, grid : grid + 2 * columns] += places.repeat(2, axis=0).repeat(2, axis=1)
    return out / 2.0
