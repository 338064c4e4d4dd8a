"""Pictures of few values, a bit a pixel: most of what miso-gen paints, and all of its truth.

Masks and black-and-white noise are combined 64 pixels at a time, and become bytes only where they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CELL = 16  #: side in pixels of the cells that :meth:`Bits.cells` counts in


@dataclass(frozen=True, eq=False)
class Bits:
    """A mask.

    Attributes:
        words: (h, ceil(w / 64)) uint64, lowest bit first; the bits past the last column are 0.
        width: Columns.
    """

    words: NDArray[np.uint64]
    width: int

    @classmethod
    def of(cls, words: NDArray[np.uint64], width: int) -> Bits:
        """Return a mask of words whose bits past the last column may be anything; these are cleared in place."""
        rest = width % 64
        if rest:
            words[:, -1] &= np.uint64((1 << rest) - 1)
        return cls(words, width)

    @classmethod
    def pack(cls, mask: NDArray[Any]) -> Bits:
        """Return the mask of a (h, w) array: every value but 0 counts."""
        height, width = mask.shape
        if width % 64 or mask.dtype.kind == "f":
            whole = np.zeros((height, -(-width // 64) * 64), np.bool_)
            np.not_equal(mask, 0, out=whole[:, :width])
            mask = whole
        packed = np.packbits(np.ascontiguousarray(mask).reshape(-1), bitorder="little")
        return cls(packed.view("<u8").astype(np.uint64, copy=False).reshape(height, -(-width // 64)), width)

    @classmethod
    def full(cls, shape: tuple[int, int]) -> Bits:
        """Return a mask of all pixels."""
        return cls.of(np.full((shape[0], -(-shape[1] // 64)), ~np.uint64(0)), shape[1])

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Bits:
        """Return a mask of no pixel."""
        return cls(np.zeros((shape[0], -(-shape[1] // 64)), np.uint64), shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        return self.words.shape[0], self.width

    def __and__(self, other: Bits) -> Bits:
        return Bits(self.words & other.words, self.width)

    def __or__(self, other: Bits) -> Bits:
        return Bits(self.words | other.words, self.width)

    def minus(self, other: Bits) -> Bits:
        """Return what is in this mask and not in the other."""
        return Bits(self.words & ~other.words, self.width)

    def any(self) -> bool:
        """Whether any pixel is in the mask."""
        return bool(self.words.any())

    def count(self) -> int:
        """Return the number of pixels in the mask."""
        return int(np.bitwise_count(self.words).sum())

    def rows(self) -> slice:
        """Return the rows from the first to the last that hold a pixel of the mask, none where it is empty."""
        found = np.flatnonzero(np.bitwise_or.reduce(self.words, axis=1))
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def cells(self) -> NDArray[np.uint64]:
        """Return the pixels in each 16 x 16 cell, shape (ceil(h / 16), ceil(w / 16)), uint64; cells start at the corner."""
        height, width = self.shape
        # numpy counts the bits of bytes eight times as fast as those of 16-bit words; 16 bytes of 8 bits still fit into a byte.
        counts = np.bitwise_count(self.words.astype("<u8", copy=False).view(np.uint8)[:, : 2 * -(-width // CELL)])
        whole = height // CELL
        halves = counts[: whole * CELL].reshape(whole, CELL, counts.shape[1]).sum(axis=1, dtype=np.uint8)
        if height % CELL:
            halves = np.concatenate([halves, counts[whole * CELL :].sum(axis=0, dtype=np.uint8)[None]])
        out = halves[:, 0::2].astype(np.uint16) + halves[:, 1::2]
        return out.astype(np.uint64)

    def unpack(self) -> NDArray[np.uint8]:
        """Return the mask as (h, w) uint8 in {0, 1}."""
        words = np.ascontiguousarray(self.words.astype("<u8", copy=False))
        bits = np.unpackbits(words.reshape(-1).view(np.uint8), bitorder="little")
        return bits.reshape(self.shape[0], words.shape[1] * 64)[:, : self.width]

    def blocks(self, side: int) -> NDArray[np.uint64]:
        """Return the words of whole blocks, row-major, shape (number of blocks, side, side / 64).

        Height and width must be multiples of ``side``, and ``side`` of 64.
        """
        down, across, words = self.shape[0] // side, self.width // side, side // 64
        return self.words.reshape(down, side, across, words).swapaxes(1, 2).reshape(down * across, side, words)

    def crop(self, rows: slice, columns: slice) -> Bits:
        """Return a part; cheap where it starts at a multiple of 64 columns. Slices have both ends."""
        if columns.start % 64:
            return Bits.pack(self.unpack()[rows, columns])
        words = self.words[rows, columns.start // 64 : -(-columns.stop // 64)]
        width = columns.stop - columns.start
        return Bits.of(words.copy(), width) if width % 64 and columns.stop < self.width else Bits(words, width)


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture of few values: disjoint masks, each with its value, on a ground of 0.

    Attributes:
        dtype: Type of the picture.
        shape: (h, w).
        planes: Value -> where it is. No two masks overlap; no value is 0.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, int]
    planes: Mapping[float, Bits]

    def over(self, mask: Bits, top: Planes) -> Planes:
        """Return this picture with another one on top of it where the mask is."""
        planes = {value: bits.minus(mask) for value, bits in self.planes.items()}
        for value, bits in top.planes.items():
            shown = bits & mask
            planes[value] = planes[value] | shown if value in planes else shown
        return Planes(self.dtype, self.shape, planes)

    def crop(self, rows: slice, columns: slice) -> Planes:
        """Return a part; see :meth:`Bits.crop`."""
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        return Planes(self.dtype, shape, {value: bits.crop(rows, columns) for value, bits in self.planes.items()})

    def expand(self) -> NDArray[Any]:
        """Return the picture as (h, w) array."""
        out: NDArray[Any] | None = None
        for value, bits in self.planes.items():
            part = self._valued(bits.unpack(), value)
            out = part if out is None else np.add(out, part, out=out)
        return np.zeros(self.shape, self.dtype) if out is None else out

    def expand_blocks(self, side: int, chosen: list[int]) -> NDArray[Any]:
        """Return some whole blocks, each contiguous, shape (number chosen, side, side); see :meth:`Bits.blocks`.

        Args:
            side: Side of the blocks.
            chosen: Their row-major numbers.
        """
        out: NDArray[Any] | None = None
        for value, bits in self.planes.items():
            words = bits.blocks(side)[chosen].astype("<u8", copy=False)
            if not words.any():
                continue
            part = np.unpackbits(words.reshape(-1).view(np.uint8), bitorder="little").reshape(len(chosen), side, side)
            part = self._valued(part, value)
            out = part if out is None else np.add(out, part, out=out)
        return np.zeros((len(chosen), side, side), self.dtype) if out is None else out

    def _valued(self, mask: NDArray[np.uint8], value: float) -> NDArray[Any]:
        """Return a 0 / 1 mask times a value, in the picture's type; the mask may be changed."""
        if self.dtype == np.uint8 and value == 255:
            return np.negative(mask, out=mask)
        if self.dtype == np.uint8 and value == 1:
            return mask
        part: NDArray[Any] = mask.astype(self.dtype, copy=False)
        part *= self.dtype.type(value)
        return part
