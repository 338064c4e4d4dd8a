"""Sums over 16 x 16 cells and the histogram of an image, computed while its pixels are in cache.

The summary has shape ``(3, ceil(H / 16), ceil(W / 16))``, uint64: per cell the sum over channels of the pixel
values as integers, the count of truth >= 1, and the count of truth == 2. Cells at the border may be partial.

A pixel's integer is its value for uint8 and uint16, and ``floor(clip(v, 0, 1) * 65535 + 0.5)`` in float64 for float32.
The histogram has 256 bins over all channels: the value (uint8), ``value >> 8`` (uint16), ``min(255, floor(v * 256))``
(float32).

Several pixels are added at once in the lanes of a uint64, wide enough never to overflow.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from miso_gen.store.layout import CELL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.planes import Planes

    UInt64Array = NDArray[np.uint64]
    Int64Array = NDArray[np.int64]

_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_EVEN_SHORTS = np.uint64(0x0000FFFF0000FFFF)
_BIT_1 = np.uint64(0x0202020202020202)
_ADD_SHORTS = np.uint64(0x0001000100010001)
_EXACT_COUNT = 1 << 24
FLOAT_SCALE = 65535  #: integer of the float32 pixel value 1.0


class ImageCells(NamedTuple):
    """Cells and histogram of some pixels.

    Attributes:
        sums: (rows, columns) uint64, sum over channels of the pixel integers in every cell.
        histogram: (256,) int64.
        binary: Whether every pixel is 0 or 255 (uint8 only).
    """

    sums: UInt64Array
    histogram: Int64Array
    binary: bool


class TruthCells(NamedTuple):
    """Counts of truth >= 1 and of truth == 2 in every cell, both (rows, columns) uint64."""

    ones: UInt64Array
    twos: UInt64Array


class _Scratch(threading.local):
    """Buffers that outlive a call: fresh ones of this size would fault in their pages every time."""

    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self.buffers[name] = np.empty(size, np.uint8)
        view: NDArray[Any] = buffer[:size].view(dtype).reshape(shape)
        return view


_scratch = _Scratch()


def image_cells(pixels: NDArray[Any]) -> ImageCells:
    """Return cells and histogram of pixels of shape (C, h, w); cells start at the upper left pixel."""
    results = [_plane_cells(plane) for plane in pixels]
    if len(results) == 1:
        return results[0]
    sums: UInt64Array = np.add.reduce([result.sums for result in results])
    histogram: Int64Array = np.add.reduce([result.histogram for result in results])
    return ImageCells(sums, histogram, all(result.binary for result in results))


def image_planes_cells(image: Planes) -> ImageCells:
    """Return cells and histogram of a picture of few values, shape (h, w)."""
    rows, cols = -(-image.shape[0] // CELL), -(-image.shape[1] // CELL)
    sums, histogram = np.zeros((rows, cols), np.uint64), np.zeros(256, np.int64)
    for value, bits in image.planes.items():
        counts = bits.cells()
        whole, bin_ = _level(value, image.dtype)
        sums += counts * np.uint64(whole)
        histogram[bin_] += int(counts.sum())
    histogram[0] += image.shape[0] * image.shape[1] - int(histogram.sum())
    binary = image.dtype == np.uint8 and all(value == 255 or not bits.any() for value, bits in image.planes.items())
    return ImageCells(sums, histogram, binary)


def _level(value: float, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the integer and the histogram bin of a pixel value."""
    if dtype.kind == "f":
        exact = min(max(float(dtype.type(value)), 0.0), 1.0)
        return int(np.floor(exact * FLOAT_SCALE + 0.5)), min(255, int(exact * 256))
    return int(value), int(value) >> (8 * (dtype.itemsize - 1))


def truth_planes_cells(truth: Planes) -> TruthCells:
    """Return the counts of a truth of few values.

    Raises:
        ValueError: A value is above 2.
    """
    if not truth.planes.keys() <= {1, 2}:
        raise ValueError(f"truth must hold 0, 1 and 2 only, got {max(truth.planes)}. Fix the scenario's truth.")
    rows, cols = -(-truth.shape[0] // CELL), -(-truth.shape[1] // CELL)
    ones, twos = (truth.planes[level].cells() if level in truth.planes else np.zeros((rows, cols), np.uint64) for level in (1, 2))
    return TruthCells(ones + twos, twos)


def truth_cells(truth: NDArray[np.uint8]) -> TruthCells:
    """Return the counts of a truth of shape (h, w), values in {0, 1, 2}.

    Raises:
        ValueError: A value is above 2.
    """
    rows, cols = -(-truth.shape[0] // CELL), -(-truth.shape[1] // CELL)
    highest = int(truth.max())
    if highest > 2:
        raise ValueError(f"truth must hold 0, 1 and 2 only, got {highest}. Fix the scenario's truth.")
    if highest == 0:
        return TruthCells(np.zeros((rows, cols), np.uint64), np.zeros((rows, cols), np.uint64))
    words = _whole_cells(truth).view(np.uint64)
    # The sum of a cell is ones + 2 * twos; 16 rows of bytes of at most 2 can't overflow.
    total = _add_byte_lanes(_add_rows(words))
    masked = np.bitwise_and(words, _BIT_1, out=_scratch.get("word", words.shape, np.uint64))
    twos = _add_byte_lanes(_add_rows(masked)) >> np.uint64(1)
    return TruthCells(total - twos, twos)


def _plane_cells(plane: NDArray[Any]) -> ImageCells:
    whole = _whole_cells(plane)
    if plane.dtype == np.uint8:
        sums, histogram, binary = _byte_cells(whole)
    elif plane.dtype == np.uint16:
        sums, histogram, binary = _short_cells(whole), _bincount(whole.view(np.uint8)[:, 1::2]), False
    else:
        sums, histogram, binary = *_float_cells(whole), False
    histogram[0] -= whole.size - plane.size  # pixels added to fill the last cells
    return ImageCells(sums, histogram, binary)


def _whole_cells(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the plane filled up with zeros to whole cells, in memory that can be viewed as words."""
    height, width = plane.shape
    full = (-(-height // CELL) * CELL, -(-width // CELL) * CELL)
    if full == plane.shape and plane.strides[1] == plane.itemsize:
        return plane
    filled = _scratch.get("filled", full, plane.dtype)
    filled[:height, :width] = plane
    filled[height:] = 0
    filled[:height, width:] = 0
    return filled


def _byte_cells(plane: NDArray[np.uint8]) -> tuple[UInt64Array, Int64Array, bool]:
    if _is_binary(plane):
        # As signed bytes the pixels are 0 and -1, so sixteen of them add up to minus their count.
        counts = _add_byte_lanes(np.negative(_add_rows(plane)).view(np.uint64))
        histogram = np.zeros(256, np.int64)
        histogram[255] = int(counts.sum())
        histogram[0] = plane.size - histogram[255]
        return counts * np.uint64(255), histogram, True
    rows = np.add.reduce(plane.reshape(-1, CELL, plane.shape[1]), axis=1, dtype=np.uint16)
    return np.add.reduce(rows.reshape(len(rows), -1, CELL), axis=2, dtype=np.uint64), _byte_histogram(plane), False


def _is_binary(plane: NDArray[np.uint8]) -> bool:
    """Whether every pixel is 0 or 255, which are 0 and -1 as signed bytes."""
    signed = plane.view(np.int8)
    # Most other images show what they are in their first row.
    return all(int(part.max()) <= 0 and int(part.min()) >= -1 for part in (signed[:1], signed))


def _byte_histogram(plane: NDArray[np.uint8]) -> Int64Array:
    # OpenCV counts in float32, exactly so below 2^24 pixels a call, in a third of the time of numpy's bincount.
    rows = max(1, _EXACT_COUNT // plane.shape[1])
    parts = (cv2.calcHist([plane[top : top + rows]], [0], None, [256], [0, 256]) for top in range(0, plane.shape[0], rows))
    histogram: Int64Array = sum((part.reshape(-1).astype(np.int64) for part in parts), np.zeros(256, np.int64))
    return histogram


def _bincount(values: NDArray[Any], bins: int = 256) -> Int64Array:
    return np.bincount(values.reshape(-1), minlength=bins).astype(np.int64, copy=False)


def _short_cells(plane: NDArray[np.uint16]) -> UInt64Array:
    words = plane.view(np.uint64)
    odd = np.right_shift(words, np.uint64(16), out=_scratch.get("word", words.shape, np.uint64))
    odd &= _EVEN_SHORTS
    even = np.bitwise_and(words, _EVEN_SHORTS, out=_scratch.get("other", words.shape, np.uint64))
    odd += even
    lanes = _add_rows(odd)
    cells: UInt64Array = lanes.reshape(lanes.shape[0], -1, 4).sum(axis=2, dtype=np.uint64)
    return (cells & np.uint64(0xFFFFFFFF)) + (cells >> np.uint64(32))


def _float_cells(plane: NDArray[np.float32]) -> tuple[UInt64Array, Int64Array]:
    clipped = np.clip(plane, 0, 1, out=_scratch.get("clipped", plane.shape, np.float32))
    value = _scratch.get("value", plane.shape, np.float64)
    np.copyto(value, clipped)
    value *= FLOAT_SCALE
    value += 0.5
    integers = _scratch.get("integer", plane.shape, np.uint16)
    np.copyto(integers, value, casting="unsafe")  # drops the fraction: floor, as no value is negative
    sums = _short_cells(integers)
    clipped *= np.float32(256)  # a power of two: exact in float32
    np.minimum(clipped, np.float32(255), out=clipped)
    bins = _scratch.get("bins", plane.shape, np.uint8)
    np.copyto(bins, clipped, casting="unsafe")
    return sums, _byte_histogram(bins)


def _add_rows(lanes: NDArray[Any]) -> NDArray[Any]:
    """Add the sixteen rows of every cell; lanes wrap around."""
    height, width = lanes.shape
    added: NDArray[Any] = np.add.reduce(lanes.reshape(height // CELL, CELL, width), axis=1, dtype=lanes.dtype)
    return added


def _add_byte_lanes(words: UInt64Array) -> UInt64Array:
    """Add the sixteen bytes of every cell, each at most 32."""
    # The product puts the sum of a word's eight bytes into its top byte; 8 * 32 would not fit, so halves are taken apart.
    shorts = (words & _EVEN_BYTES) + ((words >> np.uint64(8)) & _EVEN_BYTES)
    shorts = shorts[:, 0::2] + shorts[:, 1::2]
    shorts *= _ADD_SHORTS
    return shorts >> np.uint64(48)
