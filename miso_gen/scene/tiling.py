"""The small copy of a silhouette that FM tiles it with, in whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Spans

_BAND = 64  # rows of the copy worked on at a time, so that memory stays bounded


def is_busy(spans: Spans, corner: int) -> bool:
    """Whether a picture is too full at its border to be cropped.

    True where more than half of all pixels, or of any border row or column, is inside, or where any ``corner`` x ``corner``
    square at a corner of the image holds more than one inside pixel. Source: MISO, FM tiling (there the bottom-left test reads
    the top-right corner, and the squares are one column short).
    """
    height, width = spans.height, spans.width
    if 2 * spans.area > height * width:
        return True
    columns, rows = spans.column_counts, spans.row_counts
    if 2 * max(columns[0], columns[-1]) > height or 2 * max(rows[0], rows[-1]) > width:
        return True
    down, across = min(corner, height), min(corner, width)
    corners = [(0, 0), (0, width - across), (height - down, 0), (height - down, width - across)]
    return any(int(spans.mask(Box(y, x, y + down, x + across)).sum()) > 1 for y, x in corners)


def crop_box(spans: Spans, line: int, pad: int) -> Box | None:
    """Return the box from the first to the last row and column with more than ``line`` inside pixels, grown by ``pad``.

    The box may reach beyond the canvas, where nothing is inside. None where no row or no column has as many pixels.
    """
    rows, columns = np.flatnonzero(spans.row_counts > line), np.flatnonzero(spans.column_counts > line)
    if not len(rows) or not len(columns):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1).expanded(pad)


def area_copy(spans: Spans, source: Box, height: int, width: int) -> NDArray[np.uint8]:
    """Return the part of a picture in ``source`` shrunk to (height, width) by area coverage, uint8.

    Value = (510 S + H W) // (2 H W), S = the sum over inside pixels of their overlaps with the output pixel in units of
    1 / height x 1 / width pixels, (H, W) = shape of ``source``: the covered share of the output pixel times 255, rounded half up.

    Args:
        spans: The picture.
        source: A box, which may reach beyond the canvas.
        height: Rows of the copy, at most those of the source.
        width: Columns of the copy, at most those of the source.
    """
    out = np.empty((height, width), np.uint8)
    full = source.height * source.width
    for first in range(0, height, _BAND):
        last = min(first + _BAND, height)
        begin, end = first * source.height // height, -(-last * source.height // height)
        cover = _row_cover(spans, source, begin, end, width)
        total = np.concatenate([np.zeros((1, width), np.int64), np.cumsum(cover, axis=0) * height])
        edges = np.arange(first, last + 1) * source.height
        rows, rest = np.divmod(edges, height)
        partial = cover[np.minimum(rows - begin, len(cover) - 1)] * rest[:, None]  # rest is 0 at the end of the band's last row
        share = np.diff(total[rows - begin] + partial, axis=0)
        out[first:last] = (510 * share + full) // (2 * full)
    return out


def _row_cover(spans: Spans, source: Box, begin: int, end: int, width: int) -> NDArray[np.int64]:
    """Return, for rows begin .. end - 1 of ``source``, the overlap of their inside pixels with each output column.

    Shape (end - begin, width), in units of 1 / width pixels.
    """
    count = end - begin
    top, bottom = (int(np.clip(source.top + row, 0, spans.height)) for row in (begin, end))
    changes = slice(spans.starts[top], spans.starts[bottom])
    lengths = np.diff(spans.starts[top : bottom + 1])
    rows = np.repeat(np.arange(top, bottom), lengths)
    # Rows that are inside at the right border of the canvas leave the picture there.
    unclosed = top + np.flatnonzero(lengths & 1)
    rows = np.concatenate([rows, unclosed]) - source.top - begin
    columns = np.concatenate([spans.columns[changes], np.full(len(unclosed), spans.width)]) - source.left
    signs = np.concatenate([spans.signs[changes], np.full(len(unclosed), -1)])
    # A change at x adds (or takes) everything to its right: part of the output column it falls in, all of the later ones.
    before = columns < source.width
    rows, signs, x = rows[before], signs[before], np.maximum(columns[before], 0) * width
    column = x // source.width
    flat = rows * (width + 1) + column
    part = np.zeros(count * (width + 1), np.int64)
    whole = np.zeros(count * (width + 1), np.int64)
    np.add.at(part, flat, signs * ((column + 1) * source.width - x))
    np.add.at(whole, flat + 1, signs * source.width)
    whole = np.cumsum(whole.reshape(count, width + 1), axis=1)
    return part.reshape(count, width + 1)[:, :width] + whole[:, :width]
