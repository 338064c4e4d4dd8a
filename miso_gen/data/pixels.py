"""Images in memory, decoded chunk by chunk, and patches cut out of them.

Patches of an epoch come from a few images at a time. Their chunks are decoded when the first patch touches them and kept as they
are, so that each is decoded once, those that no patch needs never are, and a patch costs some microseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from miso_gen.errors import InputError
from miso_gen.geometry import Box
from miso_gen.planes import Bits
from miso_gen.store import ImageView, image_path
from miso_gen.store.read import TruthInstances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miso_gen.store import Dataset, StoredArray

Picture = Literal["image", "truth", "instances"]

POOL_BYTES = 256 * 2**20  #: what a pool holds
_OPEN_FILES = 400  # of one process: systems allow some 1,000
_OPEN_IMAGES = 4096
_OUTPUTS = 4  # arrays of one shape that are kept, and shapes
_UNHELD = 2  # references of a listed array that nobody else holds: the list's, and that of the question
_SLAB = 4 * 2**20  # bytes of memory taken at a time
POOL_IMAGES = 9  #: images that it should be able to hold: a group of 8, and the first of the next


class Chunks(Protocol):
    """A picture, chunk by chunk.

    Attributes:
        shape: (C, H, W) of an image, (H, W) of others.
        dtype: Its type.
        chunk: (height, width) of a chunk, px.
        files: Files that may be open for it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, int]
    files: int

    def decode(self, row: int, col: int, out: NDArray[Any]) -> bool:
        """Fill ``out``, (..., *chunk), with a chunk, of which the part beyond the image may be anything; False: all zeros."""
        ...

    def read(self, box: Box) -> NDArray[Any]:
        """Return a box, (..., h, w)."""
        ...


class PixelSource(Protocol):
    """Where pixels come from. Pickles; safe after fork and spawn."""

    def open(self, image_id: str, pictures: Sequence[Picture]) -> dict[Picture, Chunks]:
        """Return pictures of an image."""
        ...

    def two_values(self, image_id: str) -> bool:
        """Whether the image has one channel of uint8 and no other values than 0 and 255."""
        ...


class StorePixels:
    """Pixels of a store.

    Args:
        dataset: The store.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def open(self, image_id: str, pictures: Sequence[Picture]) -> dict[Picture, Chunks]:
        """See :class:`PixelSource`."""
        # A view of its own, so that its files are closed when the pool forgets it.
        view = ImageView(self.dataset.target, image_path(image_id))
        return {picture: _StoredChunks(view, picture) for picture in pictures}

    def two_values(self, image_id: str) -> bool:
        """See :class:`PixelSource`."""
        miso = self.dataset[image_id].attributes
        return miso["channels"] == 1 and miso["dtype"] == "uint8" and not any(miso["histogram"][1:255])


class _StoredChunks:
    """A stored picture, see :class:`Chunks`; instances that are not stored are made from the truth."""

    def __init__(self, view: ImageView, picture: Picture) -> None:
        found = getattr(view, picture)
        self.made = isinstance(found, TruthInstances)
        self.array: StoredArray = view.truth if self.made else found
        self.shape, self.dtype = found.shape, found.dtype
        self.chunk = self.array.layout.chunk[-2], self.array.layout.chunk[-1]
        self.files = 0 if self.made else min(16, int(np.prod(self.array.layout.grid)))
        self.read = found.read

    def decode(self, row: int, col: int, out: NDArray[Any]) -> bool:
        if not self.made:
            return self.array.chunk(row, col, out) is not None
        pixels = self.array.chunk(row, col)
        if pixels is not None:
            np.greater_equal(pixels, 1, out=out, casting="unsafe")
        return pixels is not None


class PixelPool:
    """Decoded chunks of the images used last, within a bound of memory.

    Where ``least`` images would not fit, images of the values 0 and 255 are held a bit a pixel. Of larger ones only a part is
    held at a time. Nothing is opened before it is needed. Pickles without its pixels; a forked process goes on with its own copy.

    Args:
        source: Where pixels come from.
        pictures: What is wanted of an image: ``image``, ``truth``, ``instances``.
        capacity: Bytes of decoded pixels that it holds at most, or one chunk; 0: none, each patch is read by itself.
        least: Images that it should be able to hold.

    Attributes:
        decoded: Chunks that were decoded so far.
        held: Bytes of decoded pixels that it holds.

    Raises:
        InputError: The capacity is negative.
    """

    def __init__(
        self,
        source: PixelSource,
        pictures: Sequence[Picture] = ("image",),
        capacity: int = POOL_BYTES,
        least: int = POOL_IMAGES,
    ) -> None:
        if capacity < 0:
            raise InputError(f"pool_bytes must be 0 or more, got {capacity}. {POOL_BYTES} is the default.")
        self.source, self.pictures = source, tuple(pictures)
        self.capacity, self.least = capacity, least
        self._empty()

    def _empty(self) -> None:
        self.decoded = self.held = self._files = 0
        self.free, self.outputs = _Free(), Outputs()
        self._images: OrderedDict[str, dict[Picture, _Held]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("source", "pictures", "capacity", "least")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._empty()

    def __len__(self) -> int:
        """Images of which it holds something."""
        return len(self._images)

    def patches(self, ids: Sequence[str], rows: Sequence[int], cols: Sequence[int], size: int) -> dict[Picture, NDArray[Any]]:
        """Return patches, stacked: (n, C, size, size) of the image, (n, size, size) of the others.

        Types are the stored ones, but int32 for instances.

        Args:
            ids: Image of each patch, at least one.
            rows: First row of each.
            cols: First column of each.
            size: Side in pixels; no patch leaves its image.

        Raises:
            InputError: Images have different channels or types.
            CorruptStoreError: What must be read is missing or broken.
        """
        first = self._image(ids[0])
        out = {picture: self._blank(len(ids), held.chunks, size, picture) for picture, held in first.items()}
        pixels = out["image"]
        kind = pixels.shape[1], pixels.dtype
        others: list[Picture] = [picture for picture in self.pictures if picture != "image"]
        recent, image = ids[0], first
        for place, (image_id, row, col) in enumerate(zip(ids, rows, cols, strict=True)):
            if image_id != recent:
                recent, image = image_id, self._image(image_id)
                if image["image"].kind != kind:
                    raise InputError(
                        f"images of a batch must have the same channels and type, got others in {image_id} than in {ids[0]}. "
                        "Choose a scenario."
                    )
            if self.capacity:
                image["image"].copy(row, col, size, pixels[place])
                for picture in others:
                    image[picture].copy(row, col, size, out[picture][place])
            else:
                for picture, held in image.items():
                    out[picture][place] = held.chunks.read(Box(row, col, row + size, col + size))
        return out

    def _blank(self, count: int, chunks: Chunks, size: int, picture: Picture) -> NDArray[Any]:
        # Types of ids differ from image to image, and torch hardly knows the unsigned ones.
        dtype = np.dtype(np.int32) if picture == "instances" else chunks.dtype
        return self.outputs.take((count, *chunks.shape[:-2], size, size), dtype)

    def _image(self, image_id: str) -> dict[Picture, _Held]:
        image = self._images.get(image_id)
        if image is not None:
            self._images.move_to_end(image_id)
            return image
        opened = self.source.open(image_id, self.pictures)
        packed = False
        if self.capacity and "image" in opened:
            nbytes = sum(int(np.prod(chunks.shape)) * chunks.dtype.itemsize for chunks in opened.values())
            packed = nbytes * self.least > self.capacity and self.source.two_values(image_id)
        image = {picture: _Held(self, chunks, packed=packed and picture == "image") for picture, chunks in opened.items()}
        self._images[image_id] = image
        self._files += sum(held.chunks.files for held in image.values())
        while len(self._images) > 1 and (self._files > _OPEN_FILES or len(self._images) > _OPEN_IMAGES):
            self._forget_oldest()
        return image

    def make_room(self, nbytes: int) -> None:
        """Forget images, those not used for longest first, until so many bytes more are within the capacity."""
        while self.held + nbytes > self.capacity and self.held:
            if len(self._images) > 1:
                self._forget_oldest()
            else:
                for held in next(iter(self._images.values())).values():
                    held.forget()

    def _forget_oldest(self) -> None:
        _, image = self._images.popitem(last=False)
        for held in image.values():
            held.forget()
            self._files -= held.chunks.files


class _Held:
    """What is held of a picture: chunks, by row and column, as they were decoded."""

    def __init__(self, pool: PixelPool, chunks: Chunks, *, packed: bool) -> None:
        self.pool, self.chunks, self.packed = pool, chunks, packed
        self.height, self.width = chunks.chunk
        self.across = -(-chunks.shape[-1] // self.width)
        self.kind = (chunks.shape[0] if len(chunks.shape) > 2 else 1), chunks.dtype
        self.shape = (*chunks.shape[:-2], self.height, self.width)
        self.blocks: dict[int, NDArray[Any] | Bits] = {}
        self.nbytes = 0

    def forget(self) -> None:
        """Forget all chunks; their memory is used again."""
        self.pool.held -= self.nbytes
        self.nbytes = 0
        for block in self.blocks.values():
            if not isinstance(block, Bits) and block.flags.writeable:
                self.pool.free.give(block)
        self.blocks.clear()

    def copy(self, row: int, col: int, size: int, out: NDArray[Any]) -> None:
        """Copy a patch into ``out``, (..., size, size)."""
        height, width = self.height, self.width
        i, top = divmod(row, height)
        j, left = divmod(col, width)
        # Most patches lie in one, two or four chunks: little more than the copies, as there are a hundred thousand a second.
        if not self.packed and top + size <= 2 * height and left + size <= 2 * width:
            rows, cols = height - top, width - left  # of the patch in the first chunk
            first = self.block(i, j)[..., top : top + size, left : left + size]
            if rows >= size and cols >= size:
                out[...] = first
            elif rows >= size:
                out[..., :cols] = first
                out[..., cols:] = self.block(i, j + 1)[..., top : top + size, : size - cols]
            elif cols >= size:
                out[..., :rows, :] = first
                out[..., rows:, :] = self.block(i + 1, j)[..., : size - rows, left : left + size]
            else:
                out[..., :rows, :cols] = first
                out[..., :rows, cols:] = self.block(i, j + 1)[..., top:, : size - cols]
                out[..., rows:, :cols] = self.block(i + 1, j)[..., : size - rows, left:]
                out[..., rows:, cols:] = self.block(i + 1, j + 1)[..., : size - rows, : size - cols]
            return
        # Pieces down and across: chunk, first pixel in the chunk, first and last pixel in the patch.
        down, across = [(i, top, 0, min(size, height - top))], [(j, left, 0, min(size, width - left))]
        for pieces, side in ((down, height), (across, width)):
            while (start := pieces[-1][3]) < size:
                pieces.append((pieces[-1][0] + 1, 0, start, min(size, start + side)))
        for i, top, first_row, last_row in down:
            for j, left, first_col, last_col in across:
                block = self.block(i, j)
                down_to, across_to = top + last_row - first_row, left + last_col - first_col
                if isinstance(block, Bits):
                    piece = _unpacked(block, slice(top, down_to), slice(left, across_to))
                else:
                    piece = block[..., top:down_to, left:across_to]
                out[..., first_row:last_row, first_col:last_col] = piece

    def block(self, i: int, j: int) -> Any:
        """Return a chunk: an array, or ``Bits`` where the picture is packed."""
        block = self.blocks.get(i * self.across + j)
        return self._decoded(i, j) if block is None else block

    def _decoded(self, i: int, j: int) -> NDArray[Any] | Bits:
        pool, dtype = self.pool, self.chunks.dtype
        pool.decoded += 1
        pixels = pool.free.take(self.shape, dtype)
        try:
            filled = self.chunks.decode(i, j, pixels)
            block: NDArray[Any] | Bits = Bits.pack(pixels[0]) if self.packed and filled else pixels
        except BaseException:
            pool.free.give(pixels)
            raise
        if not filled:
            block, nbytes = _zeros(self.shape, dtype), 0  # one for all
        else:
            nbytes = block.words.nbytes if isinstance(block, Bits) else block.nbytes
        if block is not pixels:
            pool.free.give(pixels)
        pool.make_room(nbytes)
        pool.held += nbytes
        self.nbytes += nbytes
        self.blocks[i * self.across + j] = block
        return block


class _Free:
    """Memory of chunks that were forgotten, for the next ones: fresh memory costs as much as decoding into it."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[tuple[int, ...], np.dtype[Any]], list[NDArray[Any]]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        blocks = self._blocks.setdefault((shape, dtype), [])
        if not blocks:
            nbytes = int(np.prod(shape)) * dtype.itemsize
            blocks.extend(np.empty((max(1, _SLAB // nbytes), *shape), dtype))
        return blocks.pop()

    def give(self, block: NDArray[Any]) -> None:
        self._blocks[block.shape, block.dtype].append(block)


class Outputs:
    """Arrays for batches: those that nobody holds any longer are used again, as fresh memory is slow."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], np.dtype[Any]], list[NDArray[Any]]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array that nobody else holds, with any content."""
        arrays = self._arrays.setdefault((shape, dtype), [])
        for place in range(len(arrays)):
            # Tensors and views of an array count as well.
            if getrefcount(arrays[place]) <= _UNHELD:
                return arrays[place]
        array = np.empty(shape, dtype)
        if len(arrays) == _OUTPUTS:
            arrays.pop(0)
        arrays.append(array)
        if len(self._arrays) > _OUTPUTS:
            del self._arrays[next(iter(self._arrays))]
        return array


def _unpacked(block: Bits, rows: slice, cols: slice) -> NDArray[np.uint8]:
    start = cols.start - cols.start % 64  # whole words are cut without shifting
    mask = block.crop(rows, slice(start, cols.stop)).unpack()[:, cols.start - start :]
    return np.negative(mask)  # 0 and 255


@lru_cache(maxsize=8)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    zeros = np.zeros(shape, dtype)
    zeros.flags.writeable = False
    return zeros
