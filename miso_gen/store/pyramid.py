"""The levels above level 0, each made from the one below, chunk by chunk.

A pixel of level l covers 2 x 2 pixels of level l - 1, fewer at an odd border. Images take their mean: integers
``floor(mean + 1/2)``, float32 ``(a + b + c + d) / 4`` in float64. Labels take the upper left pixel, so that no value
appears that was not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.store.shards import ShardEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.store.arrays import StoredArray
    from miso_gen.store.layout import ArrayLayout


def halve_mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the 2 x 2 mean of pixels of shape (..., h, w): shape (..., ceil(h / 2), ceil(w / 2)), same dtype."""
    height, width = pixels.shape[-2:]
    # An odd border is doubled: the mean of (a, b, a, b) is the mean of (a, b), rounding included.
    lead = [(0, 0)] * (pixels.ndim - 2)
    even = np.pad(pixels, [*lead, (0, height % 2), (0, width % 2)], mode="edge")
    wide: Any = {"uint8": np.uint16, "uint16": np.uint32}.get(pixels.dtype.name, np.float64)
    total = even[..., 0::2, 0::2].astype(wide)
    total += even[..., 0::2, 1::2]
    total += even[..., 1::2, 0::2]
    total += even[..., 1::2, 1::2]
    if pixels.dtype.kind == "f":
        total /= 4
    else:
        total += 2
        total >>= 2
    return total.astype(pixels.dtype)


def halve_label(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the upper left of every 2 x 2 pixels of shape (..., h, w)."""
    return pixels[..., 0::2, 0::2]


def downsampled_shard(below: StoredArray, array: ArrayLayout, box: Box, *, mean: bool) -> bytes:
    """Return the bytes of one shard of a level.

    Args:
        below: The level below it.
        array: Layout of the level.
        box: The shard, in pixels of the level.
        mean: Whether to take means (images) or the upper left pixel (labels).
    """
    encoder = ShardEncoder(array)
    rows, cols = array.chunk[-2:]
    height, width = below.shape[-2:]
    for top in range(box.top, box.bottom, rows):
        for left in range(box.left, box.right, cols):
            bottom, right = min(box.bottom, top + rows), min(box.right, left + cols)
            pixels = below.read(Box(2 * top, 2 * left, min(height, 2 * bottom), min(width, 2 * right)))
            half = halve_mean(pixels) if mean else halve_label(pixels)
            encoder.add((top - box.top) // rows, (left - box.left) // cols, np.ascontiguousarray(half))
    return encoder.finish()
