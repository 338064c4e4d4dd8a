"""Pictures of a card as small PNGs: images, truth, maps, masks and differences. Colours are safe for colour-blind readers."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from miso_gen.geometry import Box
from miso_gen.render.pictures import block_means, shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from miso_gen.store import ImageView

SIDE: Final = 1536  #: longest side of an image, px
MAP_SIDE: Final = 512  #: longest side of a map of pixels, px
_LEAST: Final = 128  #: side from which on a picture is not shrunk further, px
_GREYS: Final = 16  #: grey levels of images that would be too large with all of theirs

Colour = tuple[int, int, int]
TRUTH_COLOURS: Final[tuple[Colour, ...]] = ((22, 25, 33), (64, 132, 204), (255, 176, 0))  #: nothing, object, evidence
MASK_COLOURS: Final[tuple[Colour, ...]] = ((22, 25, 33), (255, 255, 255))
#: Nothing, both (true positive), marked only (false positive), evidence only (false negative); Okabe and Ito's palette.
DIFFERENCE_COLOURS: Final[tuple[Colour, ...]] = ((22, 25, 33), (0, 158, 115), (213, 94, 0), (86, 180, 233))
_SEQUENTIAL: Final = ((0, 32, 76), (58, 77, 108), (124, 123, 120), (187, 173, 109), (255, 233, 70))
_DIVERGING: Final = ((84, 39, 136), (153, 142, 195), (247, 247, 247), (241, 163, 64), (179, 88, 6))
_NO_VALUE: Final = 255  #: index of transparent pixels in pictures of maps


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Attributes:
        data: Its bytes.
        width: px.
        height: px.
    """

    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """All of it as a ``data:`` URI."""
        return f"data:image/png;base64,{b64encode(self.data).decode()}"


def image_picture(view: ImageView, budget: int, side: int = SIDE) -> Picture:
    """Return an image, shrunk by the least whole number of area means that keeps it below a size.

    Args:
        view: The image.
        budget: Bytes of its PNG; a picture of less than 128 px a side may have more.
        side: Longest side, px.
    """
    box = Box(0, 0, *view.shape[1:])
    return _within(lambda most: _png(*_palette_of(shrink(view.read, box, most).picture)), max(box.shape), budget, side)


def levels_picture(levels: NDArray[np.uint8], colours: Sequence[Colour], budget: int, side: int = MAP_SIDE) -> Picture:
    """Return classes (H, W) in their colours, class 0 transparent; shrunk to the most frequent class of each block.

    Of equally frequent classes the greatest is shown, so that little evidence is not lost.
    """

    def made(most: int) -> Picture:
        return _png(shrunk_levels(levels, len(colours), most), colours, transparent=0)

    return _within(made, max(levels.shape), budget, side)


def map_picture(values: NDArray[np.floating[Any]], low: float, high: float, *, signed: bool, budget: int) -> Picture:
    """Return a map (H, W) in colours from ``low`` to ``high``; nan is transparent. Shrunk by means of blocks."""
    colours = ramp(_DIVERGING if signed else _SEQUENTIAL)

    def made(most: int) -> Picture:
        small = shrunk_values(values, most)
        span = high - low
        share = (small - low) / span if span > 0 else np.where(np.isnan(small), np.nan, 0.0)
        index = np.where(np.isnan(share), _NO_VALUE, np.clip(np.nan_to_num(share), 0, 1) * (_NO_VALUE - 1) + 0.5)
        return _png(index.astype(np.uint8), [*colours, (0, 0, 0)], transparent=_NO_VALUE)

    return _within(made, max(values.shape), budget, MAP_SIDE)


def ramp(anchors: Sequence[Colour]) -> list[Colour]:
    """Return 255 colours between anchors at equal distances."""
    places = np.linspace(0, len(anchors) - 1, _NO_VALUE)
    channels = [np.interp(places, range(len(anchors)), [anchor[channel] for anchor in anchors]) for channel in range(3)]
    rows = np.rint(np.stack(channels, axis=1)).astype(int).tolist()
    return [(red, green, blue) for red, green, blue in rows]


def map_range(values: ArrayLike, *, signed: bool) -> tuple[float, float]:
    """Return least and greatest value of a map; of a signed one, minus and plus its greatest size. (0, 0): no value."""
    array = np.asarray(values)
    known = array[np.isfinite(array)]
    if not known.size:
        return 0.0, 0.0
    if signed:
        size = float(np.abs(known).max())
        return -size, size
    return float(known.min()), float(known.max())


def shrunk_levels(levels: NDArray[np.uint8], count: int, side: int) -> NDArray[np.uint8]:
    """Return classes (h, w) by the most frequent one of each block, the longer side at most ``side``."""
    factor = max(1, -(-max(levels.shape) // side))
    if factor == 1:
        return levels
    shares = np.stack([block_means(levels == level, factor) for level in reversed(range(count))])
    return (count - 1 - shares.argmax(axis=0)).astype(np.uint8)


def shrunk_values(values: NDArray[np.floating[Any]], side: int) -> NDArray[np.float64]:
    """Return means of blocks (h, w), the longer side at most ``side``; nan where a block has no value."""
    factor = max(1, -(-max(values.shape) // side))
    if factor == 1:
        return values.astype(np.float64)
    known = np.isfinite(values)
    sums, shares = block_means(np.where(known, values, 0.0), factor), block_means(known, factor)
    with np.errstate(invalid="ignore"):
        return np.where(shares > 0, sums / shares, np.nan)


def _within(made: Callable[[int], Picture], size: int, budget: int, side: int) -> Picture:
    """Return the largest picture below a budget, of those shrunk by whole numbers."""
    factor = max(1, -(-size // side))
    while True:
        most = -(-size // factor)
        picture = made(most)
        if len(picture.data) <= budget or most <= _LEAST:
            return picture
        factor += max(1, int(factor * ((len(picture.data) / budget) ** 0.5 - 1) * 0.8))


def _palette_of(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], list[Colour]]:
    """Return a picture (h, w, 3) by a palette: grey levels, or at most 256 colours."""
    if bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()):
        greys, index = np.unique(pixels[..., 0], return_inverse=True)
        if len(greys) > _GREYS:
            greys = np.rint(np.linspace(0, 255, _GREYS)).astype(np.uint8)
            index = np.rint(pixels[..., 0] / 255 * (_GREYS - 1)).astype(np.uint8)
        return index.reshape(pixels.shape[:2]).astype(np.uint8), [(grey, grey, grey) for grey in greys.tolist()]
    page = Image.fromarray(pixels).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat = page.getpalette() or []
    colours = [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat) - 2, 3)]
    return np.asarray(page, np.uint8), colours


def _png(index: NDArray[np.uint8], colours: Sequence[Colour], transparent: int | None = None) -> Picture:
    """Return a picture (h, w) of places in a palette as PNG; few colours take few bits."""
    page = Image.frombytes("P", index.shape[::-1], np.ascontiguousarray(index).tobytes())
    page.putpalette([channel for colour in colours for channel in colour])
    bits = next(bits for bits in (1, 2, 4, 8) if len(colours) <= 1 << bits)
    options: dict[str, Any] = {} if transparent is None else {"transparency": transparent}
    buffer = BytesIO()
    page.save(buffer, "PNG", optimize=True, bits=bits, **options)
    return Picture(buffer.getvalue(), index.shape[1], index.shape[0])
