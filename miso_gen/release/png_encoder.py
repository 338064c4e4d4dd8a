"""PNG from bands of rows, so that memory follows a band and not the image; 8 and 16 bit, grey, colour and palette.

Pillow can't write 16 bit colour, and both it and OpenCV need all pixels at once. The bytes depend on pixels and zlib alone.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEVEL = 6
_PART = 1 << 22  # bytes filtered at a time, and one row at least
_GREY, _RGB, _INDEXED = 0, 2, 3


def write_png(
    file: IO[bytes],
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int],
    palette: Iterable[tuple[int, int, int]] | None = None,
) -> None:
    """Write a PNG.

    Args:
        file: Where to.
        bands: (h, w) or (h, w, 3), uint8 or uint16, from top to bottom; at least one.
        shape: (height, width), px.
        palette: Colours (red, green, blue) of the values 0, 1, ... of uint8 bands (h, w); None: values are intensities.

    Raises:
        ValueError: The bands have other rows than ``shape`` says, or a type that PNG has not.
    """
    file.write(SIGNATURE)
    compressor = zlib.compressobj(_LEVEL)
    above: NDArray[np.uint8] | None = None
    rows = 0
    for band in bands:
        if band.dtype not in (np.uint8, np.uint16) or band.shape[1:] not in ((shape[1],), (shape[1], 3)):
            raise ValueError(f"bands of a PNG must be uint8 or uint16 of width {shape[1]}, got {band.dtype} {band.shape}.")
        if above is None:
            colour = _INDEXED if palette is not None else _GREY if band.ndim == 2 else _RGB
            header = struct.pack(">IIBBBBB", shape[1], shape[0], 8 * band.dtype.itemsize, colour, 0, 0, 0)
            _chunk(file, b"IHDR", header)
            if palette is not None:
                _chunk(file, b"PLTE", bytes(value for entry in palette for value in entry))
        step = band.dtype.itemsize * (1 if band.ndim == 2 else 3)
        for part in _parts(band):
            if above is None:
                above = np.zeros(part.shape[1], np.uint8)
            filtered = _filtered(part, above, step, plain=palette is not None)
            above = part[-1]
            _chunk(file, b"IDAT", compressor.compress(filtered.data))
        rows += len(band)
    if rows != shape[0] or above is None:
        raise ValueError(f"bands of a PNG must have {shape[0]} rows, got {rows}.")
    _chunk(file, b"IDAT", compressor.flush())
    _chunk(file, b"IEND", b"", always=True)


def _parts(band: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield a band as bytes, (rows, bytes of a row), big endian."""
    flat = band.reshape(len(band), -1)
    count = max(1, _PART // max(1, flat.shape[1] * flat.dtype.itemsize))
    for top in range(0, len(flat), count):
        part = np.ascontiguousarray(flat[top : top + count], band.dtype.newbyteorder(">"))
        yield part.view(np.uint8)


def _filtered(part: NDArray[np.uint8], above: NDArray[np.uint8], step: int, *, plain: bool) -> NDArray[np.uint8]:
    """Return rows with their filter: 0 none, 1 left, 2 above; the one that leaves the fewest bits a byte by its entropy."""
    best, kind = part, 0
    if not plain:
        left = part.copy()
        left[:, step:] -= part[:, :-step]
        up = part - np.vstack([above[None], part[:-1]])
        costs = [_entropy(values) for values in (part, left, up)]
        kind = costs.index(min(costs))
        best = (part, left, up)[kind]
    out = np.empty((len(part), part.shape[1] + 1), np.uint8)
    out[:, 0] = kind
    out[:, 1:] = best
    return out


def _entropy(values: NDArray[np.uint8]) -> float:
    counts = np.bincount(values.reshape(-1), minlength=256)
    shares = counts[counts > 0] / values.size
    return float(np.round(-(shares * np.log2(shares)).sum(), 6))  # so that a tie is one on any machine


def _chunk(file: IO[bytes], kind: bytes, data: bytes, *, always: bool = False) -> None:
    if not data and not always:
        return
    file.write(struct.pack(">I", len(data)))
    file.write(kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
