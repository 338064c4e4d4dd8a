"""The levels above level 0, each made from the one below, chunk by chunk.

A pixel of level l covers 2 x 2 pixels of level l - 1, fewer at an odd border. Images take their mean: integers
``floor(mean + 1/2)``, float32 ``(a + b + c + d) / 4`` in float64. Labels take the upper left pixel, so that no value
appears that was not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.geometry import Box
from miso_gen.store.shards import ShardEncoder, decode_chunk, one_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.store.arrays import StoredArray
    from miso_gen.store.layout import ArrayLayout


def halve_mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the 2 x 2 mean of pixels of shape (..., h, w): shape (..., ceil(h / 2), ceil(w / 2)), same dtype."""
    height, width = pixels.shape[-2:]
    if height % 2 or width % 2:
        # An odd border is doubled: the mean of (a, b, a, b) is the mean of (a, b), rounding included.
        lead = [(0, 0)] * (pixels.ndim - 2)
        pixels = np.pad(pixels, [*lead, (0, height % 2), (0, width % 2)], mode="edge")
    if pixels.dtype == np.uint8:
        # Two neighbours are one word: the sum of its bytes, whichever comes first.
        pairs = np.ascontiguousarray(pixels).view(np.uint16)
        total = (pairs & np.uint16(255)) + (pairs >> np.uint16(8))
        total = total[..., 0::2, :] + total[..., 1::2, :]
    else:
        wide = np.uint32 if pixels.dtype.kind == "u" else np.float64
        total = pixels[..., 0::2, 0::2].astype(wide)
        for row, column in ((0, 1), (1, 0), (1, 1)):
            total += pixels[..., row::2, column::2]
    if pixels.dtype.kind == "f":
        total /= 4
    else:
        total += total.dtype.type(2)
        total >>= total.dtype.type(2)
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
    direct = rows % 2 == cols % 2 == 0  # then four whole chunks below make one
    for top in range(box.top, box.bottom, rows):
        for left in range(box.left, box.right, cols):
            place = ((top - box.top) // rows, (left - box.left) // cols)
            if direct:
                _merge_chunks(below, encoder, place, (2 * top // rows, 2 * left // cols), mean=mean)
                continue
            bottom, right = min(box.bottom, top + rows), min(box.right, left + cols)
            height, width = below.shape[-2:]
            pixels = below.read(Box(2 * top, 2 * left, min(height, 2 * bottom), min(width, 2 * right)))
            half = halve_mean(pixels) if mean else halve_label(pixels)
            encoder.add(*place, np.ascontiguousarray(half))
    return encoder.finish()


def _merge_chunks(
    below: StoredArray, encoder: ShardEncoder, place: tuple[int, int], first: tuple[int, int], *, mean: bool
) -> None:
    """Make a chunk of a shard from the four below it, of which ``first`` is the upper left one, halving one at a time."""
    layout = below.layout
    rows, cols = layout.chunk[-2:]
    height, width = below.shape[-2:]
    out: NDArray[Any] | None = None
    found: list[bytes | None] = []
    for row in (first[0], first[0] + 1):
        for col in (first[1], first[1] + 1):
            if row * rows >= height or col * cols >= width:
                continue
            data, name = below.encoded(row, col)
            found.append(data)
            if data is None:
                continue
            inside = (..., slice(0, height - row * rows), slice(0, width - col * cols))
            value = one_value(data, layout, name)
            if value is None:
                pixels = decode_chunk(data, layout, name)[inside]
                half = halve_mean(pixels) if mean else halve_label(pixels)
            else:
                half = np.broadcast_to(value, layout.chunk)[inside][..., ::2, ::2]
            if out is None:
                out = np.zeros(layout.chunk, layout.np_dtype)
            top, left = (row - first[0]) * rows // 2, (col - first[1]) * cols // 2
            out[..., top : top + half.shape[-2], left : left + half.shape[-1]] = half
    if out is None:
        return
    same = len(found) == 4 and found[0] is not None and all(data == found[0] for data in found)
    if same and one_value(found[0] or b"", layout, "chunk") is not None:
        encoder.put_encoded(*place, found[0] or b"")
    else:
        encoder.add(*place, out)
