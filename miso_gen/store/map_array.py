"""The files of one map: a Zarr v3 array of float32, written tile by tile in bounded memory.

Written without zarr-python, which takes longer for one small map than its explanation does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import InputError
from miso_gen.store import metadata
from miso_gen.store.digests import BlockDigests, block_digest
from miso_gen.store.layout import BLOCK, ArrayLayout
from miso_gen.store.local import LocalTarget
from miso_gen.store.shards import encode_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from miso_gen.store.map_group import MapPlace

WHOLE: Final = 4096  #: side up to which a map is one chunk, px
CHUNK: Final = 1024  #: side of the chunks of larger ones, px; a multiple of the side of a digest block
_MOST: Final = WHOLE * WHOLE  #: values of a chunk; blosc takes 2 GB
_STACK: Final = 4096  #: maps of one image


@lru_cache(maxsize=256)
def map_layout(shape: tuple[int, ...]) -> ArrayLayout:
    """Return how the map or maps of an image are stored.

    Args:
        shape: (H, W), or (maps, H, W). One chunk up to 4096 px a side, else chunks of 1024 px, each of all maps; smaller ones
            where many maps would make them large.

    Raises:
        InputError: It is another number of axes, has nothing on one, or more than 4096 maps.
    """
    if len(shape) not in (2, 3) or min(shape) < 1 or (len(shape) == 3 and shape[0] > _STACK):
        raise InputError(f"map must have shape (H, W) or (maps, H, W), up to {_STACK} maps, got {shape}. Give one image's maps.")
    maps, (height, width) = shape[:-2], shape[-2:]
    count = maps[0] if maps else 1
    chunk = (height, width)
    if max(chunk) > WHOLE or count * height * width > _MOST:
        side = next((side for side in (CHUNK, CHUNK // 2) if count * side * side <= _MOST), BLOCK)
        chunk = (side, side)
    names = ("map", "y", "x") if maps else ("y", "x")
    return ArrayLayout(shape, "float32", (*maps, *chunk), None, "zstd", 1, "shuffle", names)


def as_map(values: ArrayLike) -> NDArray[np.float32]:
    """Return values as float32, (H, W) or (maps, H, W) with two maps or more: a leading axis of 1 is left out.

    Raises:
        InputError: They are no real numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"map must hold real numbers, got {array.dtype} values. Give float32.")
    with np.errstate(over="ignore"):  # infinity is refused in words
        array = array.astype(np.float32, copy=False)
    return array[0] if array.ndim == 3 and array.shape[0] == 1 else array


@dataclass
class Extent:
    """Least and greatest value seen so far; nan does not count, nothing seen is (inf, -inf)."""

    least: float = np.inf
    greatest: float = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Look at values, any shape but empty."""
        least, greatest = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
        if least <= greatest:
            self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)

    @property
    def blank(self) -> bool:
        """Whether no value but 0 was seen."""
        return self.constant and (self.least == 0 or self.least > self.greatest)

    @property
    def constant(self) -> bool:
        """Whether no two values differ."""
        return self.least >= self.greatest


class MapWriter:
    """Writes one map into a folder that nobody else looks at yet; ``zarr.json`` comes last.

    Tiles may come in any order and size, and together cover the map once. Memory holds the chunks that tiles have begun and not
    yet filled; tiles along chunks leave none.

    Args:
        folder: Folder of the array, not there yet.
        shape: (H, W) or (maps, H, W).
        at: nan is allowed on a grid alone.

    Raises:
        InputError: There is no map of this shape.
    """

    def __init__(self, folder: str, shape: tuple[int, ...], at: MapPlace) -> None:
        self.layout, self.at = map_layout(shape), at
        self._target = LocalTarget(folder)
        self._digests = BlockDigests("float32", shape)
        self._extent = Extent()
        self._begun: dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
        self._done: set[tuple[int, int]] = set()

    def add(self, top: int, left: int, values: NDArray[np.float32]) -> None:
        """Take a tile.

        Args:
            top: Its topmost row in the map.
            left: Its leftmost column.
            values: (h, w), or (maps, h, w) where the map has these axes.

        Raises:
            InputError: It leaves the map, overlaps another, or has a value that a map can't have.
        """
        shape = self.layout.shape
        height, width = values.shape[-2:] if values.ndim > 1 else (0, 0)
        inside = 0 <= top <= shape[-2] - height and 0 <= left <= shape[-1] - width and min(height, width) > 0
        if not inside or values.ndim != len(shape) or values.shape[:-2] != shape[:-2]:
            raise InputError(f"tile must lie inside the map {shape}, got shape {values.shape} at ({top}, {left}). Cut it there.")
        self._check(values)
        self._extent.add(values)
        for (row, col), (rows, cols) in self._chunks(top, left, height, width):
            piece = values[..., rows[0] - top : rows[1] - top, cols[0] - left : cols[1] - left]
            self._paste(row, col, rows, cols, piece)

    def finish(self, attributes: dict[str, Any]) -> None:
        """Write ``zarr.json`` with these attributes, and ``blank``, ``constant`` and ``digest``, under ``miso``.

        Raises:
            InputError: Tiles don't cover the map.
        """
        total = int(np.prod(self.layout.grid))
        if len(self._done) < total:
            raise InputError(f"tiles must cover the map {self.layout.shape}, got {len(self._done)} of {total} chunks. Give all.")
        found = {"blank": self._extent.blank, "constant": self._extent.constant, "digest": self._digests.hexdigest()}
        document = self.layout.metadata({"miso": {**attributes, **found}})
        self._target.write("zarr.json", metadata.canonical(document), atomic=False)

    def _check(self, values: NDArray[np.float32]) -> None:
        bad = np.isinf(values) if self.at == "grid" else ~np.isfinite(values)
        if bad.any():
            rule = "finite, or nan where a cell has no value" if self.at == "grid" else "finite"
            raise InputError(f"values of a map must be {rule}, got {int(bad.sum())} that are not. Repair the explanation.")

    def _chunks(
        self, top: int, left: int, height: int, width: int
    ) -> Iterator[tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]]:
        """Yield (row, column) of each chunk that a tile touches, and the rows and columns of the map that both have."""
        high, wide = self.layout.chunk[-2:]
        for row in range(top // high, -(-(top + height) // high)):
            rows = max(top, row * high), min(top + height, (row + 1) * high)
            for col in range(left // wide, -(-(left + width) // wide)):
                yield (row, col), (rows, (max(left, col * wide), min(left + width, (col + 1) * wide)))

    def _paste(self, row: int, col: int, rows: tuple[int, int], cols: tuple[int, int], piece: NDArray[np.float32]) -> None:
        high, wide = self.layout.chunk[-2:]
        down, along = min(high, self.layout.shape[-2] - row * high), min(wide, self.layout.shape[-1] - col * wide)
        if (row, col) in self._done:
            raise self._twice(rows, cols)
        if (row, col) not in self._begun and piece.shape[-2:] == (down, along):
            self._write(row, col, piece)
            return
        if (row, col) not in self._begun:
            whole = np.empty((*self.layout.shape[:-2], down, along), np.float32)
            self._begun[row, col] = whole, np.zeros((down, along), np.bool_)
        values, seen = self._begun[row, col]
        inside = slice(rows[0] - row * high, rows[1] - row * high), slice(cols[0] - col * wide, cols[1] - col * wide)
        if seen[inside].any():
            raise self._twice(rows, cols)
        values[(..., *inside)], seen[inside] = piece, True
        if seen.all():
            del self._begun[row, col]
            self._write(row, col, values)

    def _twice(self, rows: tuple[int, int], cols: tuple[int, int]) -> InputError:
        place = f"rows {rows[0]} to {rows[1] - 1}, columns {cols[0]} to {cols[1] - 1}"
        return InputError(f"tiles must not overlap, got some of {place} twice. Give each pixel once.")

    def _write(self, row: int, col: int, values: NDArray[np.float32]) -> None:
        """Write a chunk that is all there, cut at the border of the map."""
        self._done.add((row, col))
        high, wide = self.layout.chunk[-2:]
        per_row, per_col = -(-high // BLOCK), -(-wide // BLOCK)  # exact unless the chunk is the whole map
        for y in range(0, values.shape[-2], BLOCK):
            for x in range(0, values.shape[-1], BLOCK):
                block = np.ascontiguousarray(values[..., y : y + BLOCK, x : x + BLOCK], "<f4")
                self._digests.add(row * per_row + y // BLOCK, col * per_col + x // BLOCK, block_digest(block))
        if values.shape != self.layout.chunk:
            padded = np.zeros(self.layout.chunk, np.float32)
            padded[..., : values.shape[-2], : values.shape[-1]] = values
            values = padded
        data = encode_chunk(np.ascontiguousarray(values, "<f4"), self.layout)
        index = (*(0 for _ in self.layout.shape[:-2]), row, col)
        self._target.write(self.layout.file(*index), data, atomic=False)
