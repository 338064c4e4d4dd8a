"""Random streams addressed by name.

Every random thing has a stream of its own, found by its address (for example ``(2022, "gsp", "test", "0007", "disc")``), so
that no draw depends on another, on the order of work, or on who does it. Only the raw words of numpy's PCG64DXSM decide:
numpy promises those across versions, but not what the methods of ``Generator`` make of them.
"""

from __future__ import annotations

import json
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np

from miso_gen.geometry import Box
from miso_gen.planes import Bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NOISE_BLOCK = 512  #: side in pixels of the canonical blocks that pixel noise is anchored to
#: Words between the streams of blocks: numpy's own jump of PCG64, (golden ratio - 1) 2^128, which no power of two divides.
JUMP = 210306068529402873165736369884012333109
_NORMAL_SCALE = 2.0**-28

Address = tuple[str | int, ...]


def bit_generator(address: Address) -> np.random.PCG64DXSM:
    """Return the bit generator at an address: sha256 of its canonical JSON as 8 words of seed entropy."""
    text = json.dumps(address, separators=(",", ":"), ensure_ascii=True)
    entropy = np.frombuffer(sha256(text.encode()).digest(), "<u4").astype(np.uint32, copy=False)
    return np.random.PCG64DXSM(np.random.SeedSequence(entropy))  # an array is the fast way


class Stream:
    """Draws from one address, in order.

    Args:
        address: Strings and integers, e.g. ``Stream(2022, "gsp", "test", "0007", "disc")``.
    """

    def __init__(self, *address: str | int) -> None:
        self.address: Address = address
        self._position = 0

    @cached_property
    def _bits(self) -> np.random.PCG64DXSM:
        return bit_generator(self.address)  # seeding costs more than many draws, and not every stream is drawn from

    def at(self, branch: int) -> Self:
        """Move to the start of a branch, :data:`JUMP` times ``branch`` words into the stream, and return the stream.

        Things that belong together have a branch each of one stream, which is seeded once.
        """
        self._bits.advance(branch * JUMP - self._position)
        self._position = branch * JUMP
        return self

    def raw(self, count: int) -> NDArray[np.uint64]:
        """Return the next ``count`` raw 64-bit words."""
        self._position += count
        return np.asarray(self._bits.random_raw(count), np.uint64)

    def word(self) -> int:
        """Return the next raw 64-bit word."""
        self._position += 1
        return int(self._bits.random_raw())

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a float64 in [low, high), from 53 bits."""
        return low + (high - low) * ((self.word() >> 11) * 2.0**-53)

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """Return ``count`` uniform draws in [0, 1), float64; equal to as many calls of :meth:`uniform`."""
        return (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high), ``high - low <= 2**32``.

        Raises:
            ValueError: The range is empty.
        """
        if not low < high <= low + 2**32:
            raise ValueError(f"range must hold 1 to 2**32 integers, got [{low}, {high}).")
        return low + ((self.word() >> 32) * (high - low) >> 32)

    def integers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` integers in [low, high), int64; equal to as many calls of :meth:`integer`."""
        if not low < high <= low + 2**31:
            raise ValueError(f"range must hold 1 to 2**31 integers, got [{low}, {high}).")
        return low + ((self.raw(count) >> np.uint64(32)) * np.uint64(high - low) >> np.uint64(32)).astype(np.int64)

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        """Return a normal draw through the quantile table; the tails end at 3.67 standard deviations."""
        return mean + std * normal_quantile((self.word() >> 11) * 2.0**-53)

    def normals(self, count: int) -> NDArray[np.float64]:
        """Return ``count`` standard normal draws, float64; equal to as many calls of :meth:`normal`."""
        position = (self.raw(count) >> np.uint64(11)).astype(np.float64) * (2.0**-53 * 4096.0) - 0.5
        index = np.minimum(np.maximum(position.astype(np.int64), 0), 4094)
        weight = np.minimum(np.maximum(position - index, 0.0), 1.0)
        table = _normal_array()
        low = table[index]
        return (low + (table[index + 1] - low) * weight) * _NORMAL_SCALE


@cache
def _normal_table() -> list[int]:
    with files("miso_gen").joinpath("tables/normal.npy").open("rb") as file:
        return [int(z) for z in np.load(file)]


@cache
def _normal_array() -> NDArray[np.float64]:
    return np.array(_normal_table(), np.float64)


def normal_quantile(share: float) -> float:
    """Return the standard normal quantile of a share in [0, 1).

    4,096 table entries, the quantiles of (i + 1/2) / 4096, with linear interpolation; shares outside the first and the last
    entry take these. Whole-number table, float64 + - x only.
    """
    table = _normal_table()
    position = share * 4096.0 - 0.5
    if position <= 0.0:
        return table[0] * _NORMAL_SCALE
    index = min(int(position), 4094)
    weight = min(position - index, 1.0)
    return (table[index] + (table[index + 1] - table[index]) * weight) * _NORMAL_SCALE


class NoiseField:
    """Independent noise per pixel, the same for every box that asks.

    Each canonical 512 x 512 block of the image's own grid has its own stream, whose words run row by row: the field's stream,
    jumped by ``n`` times :data:`JUMP`, where ``n`` numbers the blocks along the antidiagonals, so that it does not depend on the
    size of the image. A box reads the blocks that it touches, and of these only the rows that it needs.

    Args:
        address: The address of the field.
    """

    def __init__(self, *address: str | int) -> None:
        self.address: Address = address
        self._position = 0
        self._lock = Lock()

    @cached_property
    def _bits(self) -> np.random.PCG64DXSM:
        return bit_generator(self.address)

    def bits(self, box: Box) -> Bits:
        """Return one fair bit per pixel."""
        start = box.left - box.left % 64
        if start != box.left:
            wide = self.bits(Box(box.top, start, box.bottom, box.right))
            return wide.crop(slice(0, box.height), slice(box.left - start, wide.width))
        out = np.empty((box.height, -(-box.width // 64)), np.uint64)
        for (rows, columns), block, words in self._blocks(box, NOISE_BLOCK // 64):
            first, last = columns.start // 64, -(-columns.stop // 64)
            out[rows, first:last] = words.reshape(-1, NOISE_BLOCK // 64)[:, block.start // 64 :][:, : last - first]
        return Bits.of(out, box.width)

    def words16(self, box: Box, within: Box | None = None) -> NDArray[np.uint16]:
        """Return 16 random bits per pixel, shape (h, w), uint16; outside of ``within`` anything."""
        out = np.empty(box.shape, np.uint16)
        for place, block, words in self._blocks(box, NOISE_BLOCK // 4, within):
            part = words.view("<u2").reshape(-1, NOISE_BLOCK)[:, block]
            if part.shape == box.shape:
                return part
            out[place] = part
        return out

    def bernoulli(self, probability: float, box: Box, within: Box | None = None) -> Bits:
        """Return 1 with a chance: 16 random bits < round(65536 p); single bits for 1/2. Outside of ``within`` anything."""
        if probability == 0.5:
            return self.bits(box)
        threshold = bernoulli_threshold(probability)
        if threshold in (0, 65536):
            return Bits.full(box.shape) if threshold else Bits.empty(box.shape)
        start = box.left - box.left % 64
        if start != box.left:
            wide = self.bernoulli(probability, Box(box.top, start, box.bottom, box.right), within)
            return wide.crop(slice(0, box.height), slice(box.left - start, wide.width))
        out = np.zeros((box.height, -(-box.width // 64)), np.uint64)
        for (rows, columns), block, words in self._blocks(box, NOISE_BLOCK // 4, within):
            # Whole words of 64 pixels: the first and the last may reach beyond what was asked for.
            first, last = columns.start // 64, -(-columns.stop // 64)
            begin = block.start - columns.start % 64
            part = words.view("<u2").reshape(-1, NOISE_BLOCK)[:, begin : begin + 64 * (last - first)]
            out[rows, first:last] = Bits.pack(part < np.uint16(threshold)).words
        return Bits.of(out, box.width)

    def _blocks(
        self, box: Box, row_words: int, within: Box | None = None
    ) -> Iterator[tuple[tuple[slice, slice], slice, NDArray[np.uint64]]]:
        """Yield (place in the box, columns of the block, raw words of the block's rows) of all blocks that are asked for."""
        asked = box if within is None else box.intersection(within)
        if asked.empty:
            return
        for top in range(asked.top - asked.top % NOISE_BLOCK, asked.bottom, NOISE_BLOCK):
            first, last = max(asked.top - top, 0), min(asked.bottom - top, NOISE_BLOCK)
            for left in range(asked.left - asked.left % NOISE_BLOCK, asked.right, NOISE_BLOCK):
                start, stop = max(asked.left - left, 0), min(asked.right - left, NOISE_BLOCK)
                block = block_number(top // NOISE_BLOCK, left // NOISE_BLOCK)
                words = self._words(block * JUMP + first * row_words, (last - first) * row_words)
                place = (
                    slice(top + first - box.top, top + last - box.top),
                    slice(left + start - box.left, left + stop - box.left),
                )
                yield place, slice(start, stop), words

    def _words(self, position: int, count: int) -> NDArray[np.uint64]:
        """Return raw words of the field's stream from a position on.

        Seeding a generator costs more than the words of a block; moving one costs next to nothing.
        """
        with self._lock:
            self._bits.advance(position - self._position)
            self._position = position + count
            return self._bits.random_raw(count).astype("<u8", copy=False)


def block_number(row: int, column: int) -> int:
    """Return the number of a block along the antidiagonals: 0 for (0, 0), 1 for (1, 0), 2 for (0, 1), 3 for (2, 0) ..."""
    return (row + column) * (row + column + 1) // 2 + column


def bernoulli_threshold(probability: float) -> int:
    """Return round(65536 p), halves up, in 0 .. 65536."""
    return int(65536.0 * probability + 0.5)
