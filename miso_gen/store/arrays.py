"""Read boxes of stored arrays without going through zarr."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from miso_gen.errors import CorruptStoreError
from miso_gen.geometry import Box
from miso_gen.store.layout import ArrayLayout
from miso_gen.store.shards import ShardReader, decode_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.store.layout import Codec, Shuffle
    from miso_gen.store.target import Target

_OPEN_SHARDS = 16  #: shards of one array that stay open, so that a walk over a gigapixel image holds few files


def read_json(target: Target, path: str) -> dict[str, Any]:
    """Return a JSON document.

    Raises:
        FileNotFoundError: There is none.
        CorruptStoreError: It is not JSON.
    """
    return parse_json(target.read(path), target.describe(path))


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """Return the JSON document of a file that is called ``name`` in messages.

    Raises:
        CorruptStoreError: It is not JSON.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CorruptStoreError(
            f"{name} must be JSON, got {error}. It was cut off or edited. Build or fetch it again."
        ) from error
    if not isinstance(document, dict):
        raise CorruptStoreError(f"{name} must be a JSON object, got {type(document).__name__}. Build or fetch it again.")
    return document


def parse_array(document: dict[str, Any], name: str) -> ArrayLayout:
    """Return the layout that an array's ``zarr.json`` describes.

    Raises:
        CorruptStoreError: It describes no array that this version writes.
    """
    try:
        codecs = document["codecs"]
        file_shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        chunk, shard = file_shape, None
        if codecs[0]["name"] == "sharding_indexed":
            sharding = codecs[0]["configuration"]
            chunk, shard, codecs = tuple(sharding["chunk_shape"]), file_shape, sharding["codecs"]
        names = [codec["name"] for codec in codecs]
        if document["node_type"] != "array" or names != ["bytes", "blosc", "crc32c"]:
            raise CorruptStoreError(f"{name} must be an array of codecs bytes, blosc, crc32c, got {names}. Open it with zarr.")
        blosc = codecs[1]["configuration"]
        return ArrayLayout(
            tuple(document["shape"]),
            document["data_type"],
            chunk,
            shard,
            cast("Codec", blosc["cname"]),
            blosc["clevel"],
            cast("Shuffle", blosc["shuffle"]),
            tuple(document.get("dimension_names") or ()),
        )
    except (KeyError, TypeError, IndexError) as error:
        raise CorruptStoreError(f"{name} must describe an array, got no {error}. Build or fetch it again.") from error


class StoredArray:
    """One array on disk, read by boxes; opens files when they are needed and survives pickling and forking.

    Args:
        target: The store.
        path: Folder of the array.
        layout: What it holds; read from its ``zarr.json`` if None.

    Raises:
        CorruptStoreError: The array's ``zarr.json`` is missing or no such array.
    """

    def __init__(self, target: Target, path: str, layout: ArrayLayout | None = None) -> None:
        self.target, self.path = target, path
        if layout is None:
            name = f"{path}/zarr.json"
            try:
                layout = parse_array(read_json(target, name), target.describe(name))
            except FileNotFoundError:
                raise _missing(target, name) from None
        self.layout = layout
        self._shards: OrderedDict[tuple[int, ...], ShardReader] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": OrderedDict()}  # open files don't travel

    @property
    def shape(self) -> tuple[int, ...]:
        """Size in elements."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of what ``read`` returns."""
        return np.dtype(self.layout.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.layout.shape)

    def read(self, box: Box) -> NDArray[Any]:
        """Return the box over the last two axes, all of the axes before: shape ``(..., h, w)``.

        Raises:
            CorruptStoreError: A file is missing, cut, or not what its checksum says.
            ValueError: The box leaves the array.
        """
        height, width = self.shape[-2:]
        if box.top < 0 or box.left < 0 or box.bottom > height or box.right > width:
            raise ValueError(f"box must lie inside {height} x {width}, got {box}. Cut it at the border.")
        out = np.empty((*self.shape[:-2], *box.shape), self.dtype)
        rows, cols = self.layout.file_shape[-2:]
        for row in range(box.top // rows, -(-box.bottom // rows)):
            for col in range(box.left // cols, -(-box.right // cols)):
                top, left = max(box.top, row * rows), max(box.left, col * cols)
                bottom, right = min(box.bottom, (row + 1) * rows), min(box.right, (col + 1) * cols)
                if top >= bottom or left >= right:
                    continue
                part = out[..., top - box.top : bottom - box.top, left - box.left : right - box.left]
                inside = Box(top - row * rows, left - col * cols, bottom - row * rows, right - col * cols)
                self._read_file((*(0 for _ in self.shape[:-2]), row, col), inside, part)
        return out

    def all(self) -> NDArray[Any]:
        """Return the whole array."""
        return self.read(Box(0, 0, *self.shape[-2:]))

    def __getitem__(self, key: Any) -> Any:
        """Return what numpy would for ints, slices and one Ellipsis; only the rows and columns in question are read."""
        keys = _full_key(key, self.ndim)
        spans = [_span(k, n) for k, n in zip(keys[-2:], self.shape[-2:], strict=True)]
        (top, bottom, row_key), (left, right, col_key) = spans
        pixels = self.read(Box(top, left, bottom, right))
        return pixels[(*keys[:-2], row_key, col_key)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.all().astype(dtype or self.dtype, copy=False)

    def encoded(self, row: int, col: int) -> tuple[bytes | None, str]:
        """Return one chunk of a sharded array as it is stored, None where it holds nothing but zeros, and its name.

        Args:
            row: Row in the array's grid of chunks.
            col: Column in it.

        Raises:
            CorruptStoreError: The file is missing or cut.
        """
        rows, cols = self.layout.chunks_per_file[-2:]
        index = (*(0,) * (len(self.shape) - 2), row // rows, col // cols)
        reader = self._shards.get(index)
        if reader is None:
            path = f"{self.path}/{self.layout.file(*index)}"
            try:
                reader = self._shard(index, path)
            except FileNotFoundError:
                raise _missing(self.target, path) from None
        return reader.encoded(row % rows, col % cols), reader.name_of(row % rows, col % cols)

    def chunk(self, row: int, col: int, out: NDArray[Any] | None = None) -> NDArray[Any] | None:
        """Return one decoded chunk of a sharded array, in the array's chunk shape, None where it holds nothing but zeros.

        Args:
            row: Row in the array's grid of chunks.
            col: Column in it.
            out: Contiguous array of that shape and type to decode into; None: a new one.

        Raises:
            CorruptStoreError: The file is missing, cut, or not what its checksum says.
        """
        data, name = self.encoded(row, col)
        return None if data is None else decode_chunk(data, self.layout, name, out)

    def _read_file(self, index: tuple[int, ...], box: Box, out: NDArray[Any]) -> None:
        path = f"{self.path}/{self.layout.file(*index)}"
        try:
            if self.layout.shard is None:
                pixels = decode_chunk(self.target.read(path), self.layout, self.target.describe(path))
                out[...] = pixels[..., box.top : box.bottom, box.left : box.right]
            else:
                self._shard(index, path).read(box, out)
        except FileNotFoundError:
            raise _missing(self.target, path) from None

    def _shard(self, index: tuple[int, ...], path: str) -> ShardReader:
        reader = self._shards.get(index)
        if reader is None:
            reader = ShardReader(self.layout, self.target.open(path), self.target.describe(path))
            self._shards[index] = reader
            if len(self._shards) > _OPEN_SHARDS:
                self._shards.popitem(last=False)
        return reader


def _missing(target: Target, path: str) -> CorruptStoreError:
    return CorruptStoreError(f"{target.describe(path)} must exist, got no such file. Build the image again, or fetch it again.")


def _full_key(key: Any, ndim: int) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    given = sum(k is not Ellipsis for k in keys)
    if given > ndim or len(keys) - given > 1:
        raise IndexError(f"index must have at most {ndim} parts and one Ellipsis, got {key!r}.")
    where = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    return (*keys[:where], *[slice(None)] * (ndim - given), *keys[where + 1 :])


def _span(key: Any, size: int) -> tuple[int, int, Any]:
    """Return the range to read and what to take of it."""
    if isinstance(key, slice):
        places = range(size)[key]
        if not places:
            return 0, 0, slice(0, 0)
        low, high = min(places[0], places[-1]), max(places[0], places[-1])
        return low, high + 1, slice(None, None, places.step)
    place = range(size)[key]  # counts from the end, and refuses what is outside, as numpy does
    return place, place + 1, 0
