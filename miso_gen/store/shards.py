"""Encode and decode the files of Zarr v3 arrays: chunks, and shards of many chunks.

A chunk is ``bytes(little endian) -> blosc -> crc32c``. A shard is the encoded chunks one after the other and an index
at the end: for every chunk, row-major, two little-endian uint64 (offset, length), all ones where the chunk holds
nothing but zeros and is not stored; then the index's own crc32c.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import blosc  # type: ignore[import-untyped, unused-ignore]

from miso_gen.errors import CorruptStoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.store.layout import ArrayLayout
    from miso_gen.store.target import RangeSource

_ABSENT = 2**64 - 1
_SHUFFLES = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}
_CRC = struct.Struct("<I")
_SIZE = struct.Struct("<I")
_SMALL = 1024  #: bytes that an encoded chunk of one value stays below
_HEADER = 16  #: bytes of a blosc header; bytes 4 to 7 are the decoded size
_REPAIR = "Build the image again, or fetch it again if it was copied."

# Blosc's own threads make its bytes depend on the number of cores, and one process a core needs none.
blosc.use_threads = False


def encode_chunk(pixels: NDArray[Any], array: ArrayLayout) -> bytes:
    """Return the bytes of one chunk: C-contiguous, little endian, of the array's chunk shape."""
    data: bytes = blosc.compress(pixels, array.codec.encode(), array.clevel, _SHUFFLES[array.shuffle])
    return data + _CRC.pack(google_crc32c.value(data))


def decode_chunk(data: bytes, array: ArrayLayout, name: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return the pixels of one chunk, in the array's chunk shape.

    Args:
        data: The encoded chunk.
        array: Layout of its array.
        name: What messages call it.
        out: Contiguous array of that shape and type to decode into; None: a new one.

    Raises:
        CorruptStoreError: The checksum or the blosc frame is wrong; ``name`` says which chunk.
    """
    body = data[:-4]
    if len(data) < 4 or _CRC.pack(google_crc32c.value(body)) != data[-4:]:
        raise CorruptStoreError(f"{name} must match its checksum, got other bytes. {_REPAIR}")
    pixels = np.empty(array.chunk, array.np_dtype) if out is None else out
    held = _SIZE.unpack_from(body, 4)[0] if len(body) >= _HEADER else 0
    if held != pixels.nbytes:  # blosc fills a larger buffer in part and says nothing
        raise CorruptStoreError(f"{name} must hold {pixels.nbytes} bytes of pixels, got {held}. {_REPAIR}")
    try:
        blosc.decompress(body, pixels)
    except (RuntimeError, ValueError) as error:
        raise CorruptStoreError(f"{name} must be a blosc frame, got {error}. {_REPAIR}") from error
    return pixels


@lru_cache(maxsize=256)
def _one_value(data: bytes, array: ArrayLayout) -> NDArray[Any] | None:
    pixels = decode_chunk(data, array, "chunk")
    return pixels.reshape(-1)[:1].copy() if (pixels == pixels.reshape(-1)[0]).all() else None


def one_value(data: bytes, array: ArrayLayout, name: str) -> NDArray[Any] | None:
    """Return the value of an encoded chunk that holds one value only, shape (1,); None for any other.

    Cheap: such chunks are a few hundred bytes, and a store has the same few thousands of times.

    Raises:
        CorruptStoreError: As ``decode_chunk``.
    """
    if len(data) > _SMALL:
        return None
    try:
        return _one_value(data, array)
    except CorruptStoreError:
        decode_chunk(data, array, name)  # the same trouble, with the right name
        raise


def has_pixels(pixels: NDArray[Any]) -> bool:
    """Whether a C-contiguous chunk holds anything but zero bits."""
    flat = pixels.reshape(-1)
    raw = flat.view(np.uint8)
    if raw[0]:
        return True
    whole = raw.size // 8 * 8
    return bool(raw[:whole].view(np.uint64).any() or raw[whole:].any())


class ShardEncoder:
    """Collects the chunks of one shard, in any order; memory is bounded by the encoded bytes.

    Args:
        array: Layout of the array; its first axes before (y, x) have one chunk only.
    """

    def __init__(self, array: ArrayLayout) -> None:
        self.array = array
        self.rows, self.cols = array.chunks_per_file[-2:]
        self._chunks: dict[int, bytes] = {}
        self._constants: dict[float, bytes] = {}
        self._padded: NDArray[Any] | None = None

    def add(self, row: int, col: int, pixels: NDArray[Any]) -> None:
        """Encode chunk (``row``, ``col``) of the shard.

        Args:
            row: Row in the shard's grid of chunks.
            col: Column in it.
            pixels: Shape of a chunk, or smaller at the lower and right border of the array, where zeros fill it.
        """
        if pixels.shape != self.array.chunk:
            padded = self._padded if self._padded is not None else np.empty(self.array.chunk, self.array.np_dtype)
            self._padded = padded
            padded.fill(0)
            padded[..., : pixels.shape[-2], : pixels.shape[-1]] = pixels
            pixels = padded
        pixels = np.ascontiguousarray(pixels, self.array.np_dtype)
        if has_pixels(pixels):
            self.put(row, col, pixels)

    def put(self, row: int, col: int, pixels: NDArray[Any]) -> None:
        """Encode a chunk that is whole, C-contiguous, little endian, and known to hold more than zeros."""
        self._chunks[row * self.cols + col] = encode_chunk(pixels, self.array)

    def add_constant(self, row: int, col: int, value: float) -> None:
        """Encode a whole chunk that holds one value."""
        if not value:
            return
        data = self._constants.get(value)
        if data is None:
            data = encode_chunk(np.full(self.array.chunk, value, self.array.np_dtype), self.array)
            self._constants[value] = data
        self._chunks[row * self.cols + col] = data

    def put_encoded(self, row: int, col: int, data: bytes) -> None:
        """Take a chunk that is encoded already, in the same way and for the same chunk shape."""
        self._chunks[row * self.cols + col] = data

    def finish(self) -> bytes:
        """Return the bytes of the shard; of a shard of zeros they are an index alone."""
        index = np.full((self.rows * self.cols, 2), _ABSENT, "<u8")
        parts, offset = [], 0
        for place in sorted(self._chunks):  # row-major, whatever order the chunks came in
            data = self._chunks[place]
            index[place] = offset, len(data)
            offset += len(data)
            parts.append(data)
        table = index.tobytes()
        return b"".join([*parts, table, _CRC.pack(google_crc32c.value(table))])


class ShardReader:
    """Reads boxes out of one shard; the index is read once and kept.

    Args:
        array: Layout of the array.
        source: The opened file.
        name: Full name of the file, for messages.

    Raises:
        CorruptStoreError: The index is cut or does not match its checksum.
    """

    def __init__(self, array: ArrayLayout, source: RangeSource, name: str) -> None:
        self.array, self.source, self.name = array, source, name
        self.rows, self.cols = array.chunks_per_file[-2:]
        size = self.rows * self.cols * 16 + 4
        table = source.read(source.size - size, size) if source.size >= size else b""
        if len(table) != size:
            raise CorruptStoreError(f"{name} must be at least {size} bytes, got {source.size}. It was cut off. {_REPAIR}")
        if _CRC.pack(google_crc32c.value(table[:-4])) != table[-4:]:
            raise CorruptStoreError(f"index of {name} must match its checksum, got other bytes. {_REPAIR}")
        self._index: list[tuple[int, int]] = [(o, n) for o, n in struct.iter_unpack("<QQ", table[:-4])]
        self._end = source.size - size

    def encoded(self, row: int, col: int) -> bytes | None:
        """Return one chunk as it is stored, None where it holds nothing but zeros."""
        offset, length = self._index[row * self.cols + col]
        if offset == length == _ABSENT:
            return None
        if offset + length > self._end:
            got = f"{offset + length} of {self._end} bytes"
            raise CorruptStoreError(f"{self.name_of(row, col)} must end before the index, got {got}. {_REPAIR}")
        return self.source.read(offset, length)

    def name_of(self, row: int, col: int) -> str:
        """Return what messages call a chunk."""
        return f"chunk ({row}, {col}) of {self.name}"

    def chunk(self, row: int, col: int) -> NDArray[Any] | None:
        """Return one decoded chunk, None where it holds nothing but zeros."""
        data = self.encoded(row, col)
        return None if data is None else decode_chunk(data, self.array, self.name_of(row, col))

    def read(self, box: Box, out: NDArray[Any]) -> None:
        """Copy a box of the shard, in pixels from the shard's own corner, into ``out`` of shape ``(..., h, w)``."""
        height, width = self.array.chunk[-2:]
        for row in range(box.top // height, -(-box.bottom // height)):
            top, bottom = max(box.top, row * height), min(box.bottom, (row + 1) * height)
            for col in range(box.left // width, -(-box.right // width)):
                left, right = max(box.left, col * width), min(box.right, (col + 1) * width)
                place = (..., slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left))
                pixels = self.chunk(row, col)
                if pixels is None:
                    out[place] = 0
                else:
                    inside = (slice(top - row * height, bottom - row * height), slice(left - col * width, right - col * width))
                    out[place] = pixels[(..., *inside)]
