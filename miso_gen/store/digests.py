"""Digests of pixels, independent of chunks, shards, tiles, workers and compression.

An array at level 0 is cut into canonical 256 x 256 blocks (clipped at the border, all channels)::

    block digest = BLAKE3(pixels of the block, C order, little endian)
    array digest = BLAKE3(header + block digests, row-major),  header = {"dtype":"uint8","shape":[1,3072,3072]} and a newline

so that every worker hashes its own blocks and anybody merges them, in any order.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np

from miso_gen.store.layout import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

DIGEST_BYTES = 32
#: What the root digest covers of every image, in this order.
ROOT_FIELDS = ("image_id", "scenario", "split", "label", "pair", "image_digest", "truth_digest", "instances_digest")


def block_digest(pixels: NDArray[Any]) -> bytes:
    """Return the digest of one block: C-contiguous, little endian, any shape."""
    return blake3.blake3(pixels.reshape(-1).view(np.uint8).data).digest()


@lru_cache(maxsize=4096)
def constant_digest(dtype: str, shape: tuple[int, ...], value: float) -> bytes:
    """Return the digest of a block that holds one value only; most blocks of a truth do."""
    return block_digest(np.full(shape, value, np.dtype(dtype).newbyteorder("<")))


class BlockDigests:
    """The block digests of one array, or of a part of it.

    Args:
        dtype: Name of the array's dtype.
        shape: Shape of the whole array, ``(..., H, W)``.
    """

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = dtype, tuple(shape)
        self.rows, self.cols = -(-shape[-2] // BLOCK), -(-shape[-1] // BLOCK)
        self._blocks: dict[int, bytes] = {}

    def add(self, row: int, col: int, digest: bytes) -> None:
        """Take the digest of block (``row``, ``col``)."""
        self._blocks[row * self.cols + col] = digest

    def merge(self, other: BlockDigests) -> None:
        """Take the blocks of another part of the same array."""
        if (other.dtype, other.shape) != (self.dtype, self.shape):
            mine, theirs = (self.dtype, self.shape), (other.dtype, other.shape)
            raise ValueError(f"digests to merge must be of the same array {mine}, got {theirs}. Merge parts of one array.")
        self._blocks.update(other._blocks)

    @property
    def missing(self) -> int:
        """Number of blocks not seen yet."""
        return self.rows * self.cols - len(self._blocks)

    def hexdigest(self) -> str:
        """Return the digest of the array, 64 hexadecimal digits.

        Raises:
            ValueError: A block is missing.
        """
        if self.missing:
            total = self.rows * self.cols
            raise ValueError(f"blocks hashed must be all {total}, got {len(self._blocks)}. Write every tile first.")
        header = json.dumps({"dtype": self.dtype, "shape": list(self.shape)}, sort_keys=True, separators=(",", ":"))
        blocks = b"".join(self._blocks[place] for place in range(self.rows * self.cols))
        return blake3.blake3(header.encode() + b"\n" + blocks).hexdigest()

    def to_json(self) -> dict[str, str]:
        """Return the blocks as text: place -> hexadecimal digest."""
        return {str(place): digest.hex() for place, digest in sorted(self._blocks.items())}

    def take_json(self, blocks: Mapping[str, str]) -> None:
        """Take blocks written by ``to_json``."""
        self._blocks.update((int(place), bytes.fromhex(digest)) for place, digest in blocks.items())


def array_digest(pixels: NDArray[Any]) -> str:
    """Return the digest of a whole array of shape ``(..., H, W)``."""
    blocks = BlockDigests(pixels.dtype.name, pixels.shape)
    little = pixels.dtype.newbyteorder("<")
    for row in range(blocks.rows):
        for col in range(blocks.cols):
            block = pixels[..., row * BLOCK : (row + 1) * BLOCK, col * BLOCK : (col + 1) * BLOCK]
            blocks.add(row, col, block_digest(np.ascontiguousarray(block, little)))
    return blocks.hexdigest()


def root_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of a whole store, 64 hexadecimal digits.

    Covers labels, splits and pairs beside pixels, so that a flipped label or two swapped images are seen.

    Args:
        rows: One mapping an image with the keys of ``ROOT_FIELDS``; a digest of an array that is not stored is
            None. No rows give the digest of nothing.
    """
    lines = sorted(
        json.dumps([row[field] for field in ROOT_FIELDS], ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        for row in rows
    )
    return blake3.blake3("".join(line + "\n" for line in lines).encode()).hexdigest()
