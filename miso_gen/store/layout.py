"""Where every array of an image lives and how it is cut and encoded. Pure data, no bytes.

One image is one Zarr v3 group::

    gsp/test/0007/
      0 [1 2 ...]                      (c, y, x)  pixels, high to low resolution
      labels/truth/0 [1 2 ...]         (y, x)     uint8 in {0, 1, 2}
      labels/instances/0 [1 2 ...]     (y, x)     uint16 or uint32, where stored
      summary                          (3, ceil(H / 16), ceil(W / 16)) uint64
      objects                          (n, 1 + k) float64, where given

Chunk and shard decide files, never digests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from miso_gen.errors import InputError
from miso_gen.geometry import Box

LAYOUT = 1  #: version of the store layout; a reader refuses a newer one
OME_VERSION = "0.5"
BLOCK = 256  #: side of a digest block, px
CELL = 16  #: side of a summary cell, px
PYRAMID_END = 4096  #: levels are added until the longer side is at most this, px
SHARD = 4096  #: side of a shard of images with more than one, px
OBJECT_ROWS = 65536  #: rows of a chunk of the object table

PIXEL_DTYPES = ("uint8", "uint16", "float32")
INSTANCE_DTYPES = ("uint16", "uint32")
SUMMARY_NAMES = ("pixel_sum", "truth_1_count", "truth_2_count")

Codec = Literal["lz4", "zstd"]
Shuffle = Literal["noshuffle", "shuffle", "bitshuffle"]
ArrayName = Literal["image", "truth", "instances"]


@dataclass(frozen=True)
class ArrayLayout:
    """One stored array: what ``zarr.json`` says of it.

    Args:
        shape: Size in elements, any number of axes.
        dtype: Name of a fixed-size dtype; stored little endian.
        chunk: Elements of one encoded chunk, one number an axis.
        shard: Elements of one file, a multiple of ``chunk`` on every axis; None stores one chunk a file.
        codec: Blosc's inner compressor.
        clevel: Its level, 0 to 9.
        shuffle: Blosc's filter.
        dimension_names: One name an axis.
    """

    shape: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    codec: Codec
    clevel: int
    shuffle: Shuffle
    dimension_names: tuple[str, ...]

    @cached_property
    def np_dtype(self) -> np.dtype[Any]:
        """Dtype on disk, little endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Elements of one file."""
        return self.shard or self.chunk

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of files along each axis; 0 where the array is empty."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.file_shape, strict=True))

    @cached_property
    def chunks_per_file(self) -> tuple[int, ...]:
        """Number of chunks of one file along each axis."""
        return tuple(s // c for s, c in zip(self.file_shape, self.chunk, strict=True))

    def file(self, *index: int) -> str:
        """Return the file of grid place ``index``, relative to the array's folder."""
        return "c/" + "/".join(map(str, index))

    def files(self) -> list[str]:
        """Return every file of the array, row-major."""
        return [self.file(*index) for index in np.ndindex(*self.grid)]

    def metadata(self, attributes: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the content of the array's ``zarr.json``."""
        chunk_codecs: list[dict[str, Any]] = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {
                "name": "blosc",
                "configuration": {
                    "cname": self.codec,
                    "clevel": self.clevel,
                    "shuffle": self.shuffle,
                    "typesize": self.np_dtype.itemsize,
                    "blocksize": 0,
                },
            },
            {"name": "crc32c"},  # blosc alone does not notice a flipped bit
        ]
        codecs = chunk_codecs
        if self.shard is not None:
            sharding = {
                "chunk_shape": list(self.chunk),
                "codecs": chunk_codecs,
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.file_shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if self.np_dtype.kind == "f" else 0,
            "codecs": codecs,
            "dimension_names": list(self.dimension_names),
            "attributes": attributes or {},
            "storage_transformers": [],
        }


@dataclass(frozen=True)
class ImageLayout:
    """All arrays of one image.

    Args:
        height: Rows, px.
        width: Columns, px.
        channels: Number of channels.
        dtype: ``uint8``, ``uint16`` or ``float32``.
        instances_dtype: ``uint16`` or ``uint32``; None where instances are not stored.
        chunk: Side of a chunk, px.
        shard: Side of a shard, px, a multiple of ``chunk``; None chooses one shard a level up to 4096 px a
            side and about 4096 px above.
        codec: ``lz4`` or ``zstd``.
        level: Compression level, 0 to 9.

    Raises:
        InputError: A value is out of range, or chunk and shard do not go together.
    """

    height: int
    width: int
    channels: int = 1
    dtype: str = "uint8"
    instances_dtype: str | None = None
    chunk: int = BLOCK
    shard: int | None = None
    codec: Codec = "lz4"
    level: int = 1

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            got = (self.channels, self.height, self.width)
            raise InputError(f"image shape must be at least 1 on every axis, got {got}. Give a larger canvas.")
        if self.dtype not in PIXEL_DTYPES:
            raise InputError(f"pixel dtype must be one of {', '.join(PIXEL_DTYPES)}, got {self.dtype!r}. Use one of these.")
        if self.instances_dtype is not None and self.instances_dtype not in INSTANCE_DTYPES:
            known = ", ".join(INSTANCE_DTYPES)
            raise InputError(f"instances dtype must be one of {known}, got {self.instances_dtype!r}. Use one of these.")
        if self.chunk < 1:
            raise InputError(f"chunk must be at least 1 px, got {self.chunk}. Use 256.")
        if self.codec not in ("lz4", "zstd"):
            raise InputError(f"codec must be lz4 or zstd, got {self.codec!r}. Use one of these.")
        if not 0 <= self.level <= 9:
            raise InputError(f"codec level must be within 0 to 9, got {self.level}. Use 1.")
        if self.shard is None:
            return
        if self.shard < 1 or self.shard % self.chunk:
            near = max(1, round(self.shard / self.chunk)) * self.chunk
            raise InputError(f"shard must be a multiple of the chunk ({self.chunk}), got {self.shard}. Nearest: {near}.")
        if self.shard < max(self.height, self.width) and self.shard % BLOCK:
            # The shards of one image are hashed by different workers, so no digest block may cross two.
            near = max(1, round(self.shard / self.unit)) * self.unit
            raise InputError(
                f"shard must be a multiple of {BLOCK} where an image has several, got {self.shard}. Nearest: {near}."
            )

    @property
    def unit(self) -> int:
        """Side of the smallest square made of whole chunks and whole digest blocks, px."""
        return math.lcm(self.chunk, BLOCK)

    @cached_property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of every level, high to low resolution."""
        sizes = [(self.height, self.width)]
        while max(sizes[-1]) > PYRAMID_END:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return tuple(sizes)

    @property
    def names(self) -> tuple[ArrayName, ...]:
        """The stored pixel arrays."""
        return ("image", "truth") if self.instances_dtype is None else ("image", "truth", "instances")

    @property
    def single(self) -> bool:
        """Whether one shard holds all of level 0, so that one worker writes the image."""
        return len(self.shards(0)) == 1

    def shard_shape(self, level: int) -> tuple[int, int]:
        """Return (height, width) of the shards of a level, px."""
        height, width = self.levels[level]
        side = self.shard
        if side is None:
            several = max(height, width) > SHARD
            side = max(self.unit, SHARD // self.unit * self.unit) if several else max(height, width) + self.chunk
        return self._covering(height, side), self._covering(width, side)

    def _covering(self, size: int, side: int) -> int:
        return min(side // self.chunk, -(-size // self.chunk)) * self.chunk

    def shards(self, level: int) -> dict[tuple[int, int], Box]:
        """Return the box of every shard of a level, clipped to the level, by (row, column), row-major."""
        height, width = self.levels[level]
        rows, cols = self.shard_shape(level)
        return {
            (i, j): Box(i * rows, j * cols, min(height, (i + 1) * rows), min(width, (j + 1) * cols))
            for i in range(-(-height // rows))
            for j in range(-(-width // cols))
        }

    def array(self, name: ArrayName, level: int = 0) -> ArrayLayout:
        """Return the layout of one pixel array at one level."""
        return _pixel_array(self, name, level)

    def path(self, name: ArrayName, level: int = 0) -> str:
        """Return the folder of an array, relative to the image."""
        return str(level) if name == "image" else f"labels/{name}/{level}"

    def shard_file(self, name: ArrayName, level: int, shard: tuple[int, int]) -> str:
        """Return the file of one shard, relative to the image."""
        index = (0, *shard) if name == "image" else shard
        return f"{self.path(name, level)}/{self.array(name, level).file(*index)}"

    @property
    def summary(self) -> ArrayLayout:
        """Layout of the summary; one file for every shard of level 0, so that shard tasks share none."""
        rows, cols = -(-self.height // CELL), -(-self.width // CELL)
        if self.single:
            chunk = (3, rows, cols)
        else:
            shard_rows, shard_cols = self.shard_shape(0)
            chunk = (3, shard_rows // CELL, shard_cols // CELL)
        return ArrayLayout((3, rows, cols), "uint64", chunk, None, self.codec, self.level, "shuffle", ("quantity", "y", "x"))

    def objects(self, rows: int, columns: int) -> ArrayLayout:
        """Return the layout of an object table of ``rows`` objects and ``columns`` numbers each."""
        chunk = (min(max(rows, 1), OBJECT_ROWS), max(columns, 1))
        return ArrayLayout((rows, columns), "float64", chunk, None, self.codec, self.level, "shuffle", ("object", "quantity"))


@lru_cache(maxsize=256)
def _pixel_array(layout: ImageLayout, name: ArrayName, level: int) -> ArrayLayout:
    shape = layout.levels[level]
    chunk, shard = (layout.chunk, layout.chunk), layout.shard_shape(level)
    if name == "image":
        channels = (layout.channels,)
        return ArrayLayout(
            (*channels, *shape),
            layout.dtype,
            (*channels, *chunk),
            (*channels, *shard),
            layout.codec,
            layout.level,
            "bitshuffle",
            ("c", "y", "x"),
        )
    # Labels are long runs of one value: a shuffle costs time and gains nothing.
    dtype = "uint8" if name == "truth" else layout.instances_dtype
    if dtype is None:
        raise InputError("array must be image or truth where instances are not stored, got 'instances'. Use truth >= 1.")
    return ArrayLayout(shape, dtype, chunk, shard, layout.codec, layout.level, "noshuffle", ("y", "x"))
