"""Where the patches of an image lie."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from miso_gen.data.legacy import twice
from miso_gen.errors import InputError, listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shift: TypeAlias = Literal["half", "none", "legacy"]  #: what grid 1 is; see :func:`grid_patches`


@dataclass(frozen=True, eq=False)  # arrays don't compare to one truth
class Patches:
    """Places of n patches, grid 0 before grid 1, each row by row.

    Attributes:
        grid: (n,) int64, 0 or 1.
        i: (n,) int64, row in its grid.
        j: (n,) int64, column in its grid.
        row: (n,) int64, topmost pixel.
        col: (n,) int64, leftmost pixel.
    """

    grid: NDArray[np.int64]
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.grid)


def grid_patches(height: int, width: int, size: int, shift: Shift = "half") -> Patches:
    """Return the patches of an image. No patch leaves it; what no patch fits into, at the right and at the bottom, is left out.

    Grid 0 starts at the upper left pixel: floor(height / size) x floor(width / size) patches side by side. Grid 1 is, by shift:

    - ``half``: shifted by size // 2 both down and to the right,
      floor((height - size // 2) / size) x floor((width - size // 2) / size) patches;
    - ``none``: nothing;
    - ``legacy``: grid 0 again, as the released code of MISO has it, see :mod:`miso_gen.data.legacy`.

    Args:
        height: Of the image, px.
        width: Of the image, px.
        size: Side of a patch, px; a larger one than the image gives no patches.
        shift: What grid 1 is.

    Raises:
        InputError: The size is below 1, or below 2 where half of it is needed; or there is no such shift.
    """
    check_size(size, shift)
    first = _grid(0, height, width, size, 0)
    if shift == "none":
        return first
    return twice(first) if shift == "legacy" else joined(first, _grid(1, height, width, size, size // 2))


def check_size(size: int, shift: Shift) -> None:
    """Raise :class:`InputError` unless there are patches of this size and shift."""
    if shift not in get_args(Shift):
        raise InputError(f"shift must be one of {listing(get_args(Shift))}, got {shift!r}.")
    least = 2 if shift == "half" else 1
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < least:
        raise InputError(f"size of patches must be a whole number of pixels from {least}, got {size!r}.")


def joined(*parts: Patches) -> Patches:
    """Return patches one after the other."""
    return Patches(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Patches)})


def _grid(number: int, height: int, width: int, size: int, start: int) -> Patches:
    """Return one grid, whose first patch lies at ``start`` from the top and from the left."""
    rows, columns = (max(0, (side - start) // size) for side in (height, width))
    i = np.repeat(np.arange(rows, dtype=np.int64), columns)
    j = np.tile(np.arange(columns, dtype=np.int64), rows)
    return Patches(np.full(rows * columns, number, np.int64), i, j, i * size + start, j * size + start)
