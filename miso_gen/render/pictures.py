"""Pictures for people: images and truth, shrunk, coloured, side by side. Nothing here decides a stored pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from miso_gen.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Read = Callable[[Box], tuple["NDArray[Any]", "NDArray[np.uint8]"]]  #: box -> image (C, h, w), truth (h, w)

TRUTH_COLOURS = np.array([[22, 25, 33], [64, 132, 204], [255, 176, 0]], np.float64)  #: of levels 0, 1, 2
_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
_TILE = 512
_OVERLAY = 0.45


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A part of an image by area means.

    Attributes:
        image: (h, w, 3) float64 in 0 .. 255.
        truth: (h, w, 3) float64, the share of each truth level.
    """

    image: NDArray[np.float64]
    truth: NDArray[np.float64]

    @property
    def truth_picture(self) -> NDArray[np.uint8]:
        """The truth in its colours, (h, w, 3) uint8."""
        return (self.truth @ TRUTH_COLOURS + 0.5).astype(np.uint8)

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The image, (h, w, 3) uint8."""
        return (self.image + 0.5).astype(np.uint8)

    @property
    def overlay(self) -> NDArray[np.uint8]:
        """The image under the colours of truth levels 1 and 2, (h, w, 3) uint8."""
        share = self.truth[..., 1:].sum(axis=-1, keepdims=True)
        colour = self.truth[..., 1:] @ TRUTH_COLOURS[1:]
        mixed = self.image * (1 - _OVERLAY * share) + _OVERLAY * colour
        return (mixed + 0.5).astype(np.uint8)


def shrink(read: Read, box: Box, side: int) -> Shrunk:
    """Return a box of an image, shrunk by a whole number so that its longer side is at most ``side`` pixels.

    Read tile by tile, so that memory is bounded by the picture, not by the image.
    """
    factor = max(1, -(-max(box.shape) // side))
    height, width = -(-box.height // factor), -(-box.width // factor)
    image, truth = np.zeros((height, width, 3)), np.zeros((height, width, 3))
    step = max(1, _TILE // factor)
    for target in Box(0, 0, height, width).tiles(step, step):
        top, left = box.top + target.top * factor, box.left + target.left * factor
        source = Box(top, left, min(top + target.height * factor, box.bottom), min(left + target.width * factor, box.right))
        pixels, levels = read(source)
        top_value = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
        means = [block_means(channel, factor) * (255.0 / top_value) for channel in pixels]
        image[target.slices] = np.stack(means * (3 // len(means)), axis=-1)
        truth[target.slices] = np.stack([block_means(levels == level, factor) for level in range(3)], axis=-1)
    return Shrunk(image, truth)


def block_means(values: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Return the means of blocks of ``factor`` pixels a side, (ceil(h / factor), ceil(w / factor)); the last may be smaller."""
    if factor == 1:
        return values.astype(np.float64)
    height, width = values.shape
    if values.dtype.kind in "bu" and height % factor == 0 and width % factor == 0:  # ten times faster
        lines = values.reshape(-1, factor, width).sum(axis=1, dtype=np.uint32)
        return lines.reshape(len(lines), -1, factor).sum(axis=2, dtype=np.uint64) / (factor * factor)
    rows, columns = (np.arange(0, size, factor) for size in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=0), columns, axis=1)
    down, across = (np.diff(np.append(edges, size)) for edges, size in zip((rows, columns), values.shape, strict=True))
    return sums / (down[:, None] * across[None, :])


@dataclass(frozen=True)
class Cell:
    """One image of a contact sheet: its caption, its picture and its truth."""

    caption: str
    note: str
    shrunk: Shrunk


@dataclass(frozen=True)
class Row:
    """One row of a contact sheet.

    Attributes:
        title: Its title.
        note: What follows the title.
        cells: Its images.
        stacked: Whether the truth lies below its image, not beside it.
        bare: Whether there is no truth to show.
    """

    title: str
    note: str
    cells: tuple[Cell, ...]
    stacked: bool = False
    bare: bool = False


_GAP, _LINE = 10, 15


def contact_sheet(heading: str, rows: Sequence[Row], side: int) -> Image.Image:
    """Return a page of images with their truth, under a heading, a row each; pictures are ``side`` px at most."""
    plain, strong, large = _font(13), _font(16), _font(20)
    blocks = [_block_width(row, side, plain) for row in rows]
    texts = [strong.getlength(row.title) + 8 + plain.getlength(row.note) for row in rows]
    pictures = [len(row.cells) * (block + _GAP) for row, block in zip(rows, blocks, strict=True)]
    width = int(max(*pictures, _legend_width(plain), *texts)) + 2 * _GAP
    heights = [_picture_height(row) + 4 * _LINE + _GAP for row in rows]
    page = Image.new("RGB", (width, 4 * _LINE + sum(heights) + 2 * _LINE), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, 12), heading, _INK, large)
    top = 4 * _LINE
    for row, block, height in zip(rows, blocks, heights, strict=True):
        draw.text((_GAP, top), row.title, _INK, strong)
        draw.text((_GAP + 8 + strong.getlength(row.title), top + 3), row.note, _FAINT, plain)
        left = _GAP
        for cell in row.cells:
            place = left, top + 2 * _LINE - 4
            page.paste(Image.fromarray(cell.shrunk.picture), place)
            beside = (left, place[1] + cell.shrunk.image.shape[0] + 2) if row.stacked else (left + side + 2, place[1])
            if row.bare:  # black on white: a frame shows where it ends
                down, across = cell.shrunk.image.shape[:2]
                draw.rectangle((left - 1, place[1] - 1, left + across, place[1] + down), outline=_FAINT)
            else:
                page.paste(Image.fromarray(cell.shrunk.truth_picture), beside)
            below = top + height - 2 * _LINE - _GAP
            draw.text((left, below), cell.caption, _INK, plain)
            after = (left, below + _LINE) if row.stacked or row.bare else (left + 6 + plain.getlength(cell.caption), below)
            draw.text(after, cell.note, _FAINT, plain)
            left += block + _GAP
        top += height
    _legend(draw, (_GAP, top), plain)
    return page


def _block_width(row: Row, side: int, font: Any) -> int:
    """Return the width of an image of a row, with its truth and its captions."""
    if row.stacked or row.bare:
        return max(side, *(int(font.getlength(text)) for cell in row.cells for text in (cell.caption, cell.note)))
    return max(2 * side + 2, *(int(font.getlength(f"{cell.caption} {cell.note}")) + 8 for cell in row.cells))


def _picture_height(row: Row) -> int:
    height: int = max(cell.shrunk.image.shape[0] for cell in row.cells)
    return 2 * height + 2 if row.stacked else height


def overlay_page(heading: str, shrunk: Shrunk) -> Image.Image:
    """Return an image with its truth laid over it, under a heading and over a legend."""
    picture = Image.fromarray(shrunk.overlay)
    font = _font(13)
    width = max(picture.width, int(_legend_width(font)), int(font.getlength(heading)) + 16)
    page = Image.new("RGB", (width, picture.height + 56), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((8, 8), heading, _INK, font)
    page.paste(picture, (0, 30))
    _legend(draw, (8, picture.height + 36), font)
    return page


def png(page: Image.Image) -> bytes:
    """Return a page as PNG, its colours reduced to 256."""
    buffer = BytesIO()
    page.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


_LEGEND = ("0 irrelevant", "1 localisation: belongs to an object", "2 discriminative: makes the label true")


def _legend(draw: ImageDraw.ImageDraw, place: tuple[int, int], font: Any) -> None:
    left, top = place
    for name, colour in zip(_LEGEND, TRUTH_COLOURS.astype(int).tolist(), strict=True):
        draw.rectangle((left, top + 2, left + 12, top + 14), fill=tuple(colour))
        draw.text((left + 18, top), name, _INK, font)
        left += 36 + int(font.getlength(name))


def _legend_width(font: Any) -> float:
    return sum(36 + font.getlength(name) for name in _LEGEND)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
