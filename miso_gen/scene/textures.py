"""What a thing looks like: textures that paint any box of the image plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np

from miso_gen.planes import Bits, Planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.rng import NoiseField
    from miso_gen.scene.pixels import PixelType


_KEPT_STRIPS = 8

Painted: TypeAlias = "Planes | NDArray[Any]"  #: a picture of few values, or (h, w) or (channels, h, w) pixels


def array_of(painted: Painted) -> NDArray[Any]:
    """Return painted pixels as an array."""
    return painted.expand() if isinstance(painted, Planes) else painted


class Texture(Protocol):
    """Pixel values over the whole image plane, asked for box by box."""

    @property
    def few_valued(self) -> bool:
        """Whether it paints pictures of few values."""

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """Return the pixels of a box, the same in all channels, or shape (channels, h, w).

        Args:
            box: The box.
            pixels: Their type.
            within: Only this part of the box is needed; the rest may be anything.
        """


@dataclass(frozen=True)
class Flat:
    """One value in [0, 1]."""

    value: float
    few_valued: ClassVar[bool] = True

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """See :class:`Texture`."""
        return pixels.planes(box.shape, {self.value: Bits.full(box.shape)} if self.value else {})


@dataclass(frozen=True)
class Grey:
    """Independent uniform greys.

    A pixel with 16 random bits r is low + (r n >> 16), n = high - low + 1 whole-number levels (uint8: 153 .. 255 for
    [0.6, 1]); ``mirrored`` is 1 minus that. Source: MISO, pixel rules (U).

    Attributes:
        low: Lowest value in [0, 1].
        high: Highest value in [0, 1].
        noise: The random bits.
        mirrored: Whether to show 1 - value, for the same bits.
    """

    low: float
    high: float
    noise: NoiseField
    mirrored: bool = False
    few_valued: ClassVar[bool] = False

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """See :class:`Texture`."""
        low, high = pixels.level(self.low), pixels.level(self.high)
        count = high - low + 1
        words = self.noise.words16(box, within)
        if pixels.top > 255:
            table = low + (np.arange(65536, dtype=np.int64) * count >> 16)
            return np.take(pixels.of_levels(pixels.top - table if self.mirrored else table), words, mode="clip")
        out = np.empty(box.shape, np.uint8)
        part = box.intersection(within).shifted(-box.top, -box.left).slices
        out[part] = _scaled(words[part], count)
        return np.subtract(np.uint8(255 - low), out, out=out) if self.mirrored else np.add(out, np.uint8(low), out=out)


def _scaled(words: NDArray[np.uint16], count: int) -> NDArray[np.uint32]:
    """Return (r n) >> 16 for words r and n <= 256."""
    product = words.astype(np.uint32)
    product *= np.uint32(count)
    product >>= np.uint32(16)
    return product


@dataclass(frozen=True)
class Peppered:
    """A texture times K: each pixel is kept with a chance, else 0. Source: MISO, pixel rules (K).

    Attributes:
        texture: What is kept.
        keep: The chance.
        noise: The random bits.
    """

    texture: Texture
    keep: float
    noise: NoiseField

    @property
    def few_valued(self) -> bool:
        """As the texture below."""
        return self.texture.few_valued

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """See :class:`Texture`."""
        keep = self.noise.bernoulli(self.keep, box, within)
        below = self.texture.paint(box, pixels, within)
        black = pixels.planes(box.shape, {})
        if isinstance(below, Planes):
            return black.over(keep, below)
        return pixels.select(keep, below, pixels.flat(0.0))


@dataclass(frozen=True)
class Salted:
    """A texture in which each pixel turns 1 with a chance. Source: MISO, pixel rules (S; min(1, v + 2 S) is the same).

    Attributes:
        texture: What is seen elsewhere.
        salt: The chance.
        noise: The random bits.
    """

    texture: Texture
    salt: float
    noise: NoiseField

    @property
    def few_valued(self) -> bool:
        """As the texture below."""
        return self.texture.few_valued

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """See :class:`Texture`."""
        salt = self.noise.bernoulli(self.salt, box, within)
        below = self.texture.paint(box, pixels, within)
        if isinstance(below, Planes):
            return below.over(salt, pixels.planes(box.shape, {1.0: salt}))
        return pixels.select(salt, pixels.flat(1.0), below)


@dataclass(frozen=True, eq=False)
class Tiled:
    """A small picture repeated over the plane.

    Attributes:
        tile: (h, w) uint8 levels.
        row: Row of the tile at the image's first row.
        column: Column of the tile at the image's first column.
    """

    tile: NDArray[np.uint8]
    row: int = 0
    column: int = 0
    few_valued: ClassVar[bool] = False
    _last: dict[Box, NDArray[np.uint8]] = field(default_factory=dict, repr=False)
    _kept: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    def levels(self, box: Box) -> NDArray[np.uint8]:
        """Return the 8-bit levels of a box, shape (h, w); not to be changed. The last box is kept: its mask comes next."""
        last = self._last.get(box)
        if last is None:
            self._last.clear()
            rows = (np.arange(box.top, box.bottom) + self.row) % self.tile.shape[0]
            last = self._last[box] = np.take(self._wide(box.left, box.right), rows, axis=0)
        return last

    def _wide(self, left: int, right: int) -> NDArray[np.uint8]:
        """Return the tile repeated over some columns of the image; kept for the boxes above and below."""
        strip = self._kept.get((left, right))
        if strip is None:
            if len(self._kept) >= _KEPT_STRIPS:
                self._kept.clear()
            columns = (np.arange(left, right) + self.column) % self.tile.shape[1]
            strip = self._kept[left, right] = np.take(self.tile, columns, axis=1)
        return strip

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        """See :class:`Texture`."""
        return pixels.of_bytes(self.levels(box))

    def mask(self, box: Box) -> Bits:
        """Return where the picture is not 0."""
        return Bits.pack(self.levels(box))
