"""Blocks of truth and instances that were encoded before: a data set shows the same silhouettes again and again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from miso_gen.store.digests import block_digest
from miso_gen.store.layout import BLOCK
from miso_gen.store.shards import encode_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miso_gen.planes import Planes
    from miso_gen.store.layout import ArrayLayout

    Key = tuple[Any, ...]

_OVERHEAD = 512  #: bytes of an entry beside its chunk


class EncodedBlock(NamedTuple):
    """The digest of a block, and the bytes of the chunk that it fills."""

    digest: bytes
    chunk: bytes


def encode_blocks(planes: Planes, chosen: list[int], array: ArrayLayout) -> Iterator[EncodedBlock]:
    """Yield some whole blocks of a picture, encoded.

    Args:
        planes: The picture; its height and width are multiples of a block's.
        chosen: Row-major numbers of the blocks.
        array: How they are stored: a chunk is a block.
    """
    for pixels in planes.expand_blocks(BLOCK, chosen):
        yield EncodedBlock(block_digest(pixels), encode_chunk(pixels, array))


class BlockMemo:
    """Encoded blocks by their pixels; beyond the limit those that were not asked for the longest go.

    Args:
        limit: Bytes that may be held.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._blocks: OrderedDict[Key, EncodedBlock] = OrderedDict()
        self._lock = Lock()

    def encode(self, planes: Planes, chosen: list[int], array: ArrayLayout) -> Iterator[EncodedBlock]:
        """Yield what :func:`encode_blocks` does; blocks seen before are not even made."""
        keys = _keys(planes, chosen, array)
        known = {key: block for key in keys if (block := self._get(key)) is not None}
        missing = {key: number for key, number in zip(keys, chosen, strict=True) if key not in known}
        if missing:
            for key, block in zip(missing, encode_blocks(planes, list(missing.values()), array), strict=True):
                known[key] = block
                self._put(key, block)
        return (known[key] for key in keys)

    def cache_clear(self) -> None:
        """Forget all blocks."""
        with self._lock:
            self._blocks.clear()
            self.held = 0

    def _get(self, key: Key) -> EncodedBlock | None:
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
            return block

    def _put(self, key: Key, block: EncodedBlock) -> None:
        with self._lock:
            if key in self._blocks:  # another thread was faster
                return
            self._blocks[key] = block
            self.held += len(block.chunk) + _OVERHEAD
            while self.held > self.limit:
                _, dropped = self._blocks.popitem(last=False)
                self.held -= len(dropped.chunk) + _OVERHEAD


def _keys(planes: Planes, chosen: list[int], array: ArrayLayout) -> list[Key]:
    """Return what decides each block's bytes: its encoding, and its values with the digests of their bits."""
    encoding = (array.dtype, array.chunk, array.codec, array.clevel, array.shuffle)
    values: list[list[tuple[float, bytes]]] = [[] for _ in chosen]
    for value, bits in planes.planes.items():
        for found, block in zip(values, bits.blocks(BLOCK)[chosen], strict=True):
            if block.any():
                found.append((value, block_digest(block)))
    return [(encoding, *found) for found in values]


label_blocks = BlockMemo(8 << 20)  #: of this process; some fifty silhouettes of 9 megapixels
