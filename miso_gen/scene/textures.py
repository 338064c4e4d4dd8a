"""What a thing looks like: textures that paint any box of the image plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.rng import NoiseField
    from miso_gen.scene.pixels import PixelType


class Texture(Protocol):
    """Pixel values over the whole image plane, asked for box by box."""

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """Return the pixels of a box, of ``pixels.dtype``, shape (h, w), (channels, h, w) or () where all are equal."""


@dataclass(frozen=True)
class Flat:
    """One value in [0, 1]."""

    value: float

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """See :class:`Texture`."""
        return pixels.flat(self.value)


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

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """See :class:`Texture`."""
        low, high = pixels.level(self.low), pixels.level(self.high)
        count = high - low + 1
        words = self.noise.words16(box)
        if pixels.top > 255:
            table = low + (np.arange(65536, dtype=np.int64) * count >> 16)
            return np.take(pixels.of_levels(pixels.top - table if self.mirrored else table), words, mode="clip")
        # (r n) >> 16 in 16-bit words: r = 256 h + l, n <= 256.
        levels = words & np.uint16(255)
        levels *= np.uint16(count)
        levels >>= np.uint16(8)
        levels += (words >> np.uint16(8)) * np.uint16(count)
        levels >>= np.uint16(8)
        bytes_ = levels.astype(np.uint8)
        return np.uint8(255 - low) - bytes_ if self.mirrored else bytes_ + np.uint8(low)


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

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """See :class:`Texture`."""
        full = pixels.full(self.noise.bernoulli(self.keep, box))
        return (self.texture.paint(box, pixels).view(full.dtype) & full).view(pixels.dtype)


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

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """See :class:`Texture`."""
        full = pixels.full(self.noise.bernoulli(self.salt, box))
        return pixels.select(full, pixels.flat(1.0), self.texture.paint(box, pixels))


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

    def levels(self, box: Box) -> NDArray[np.uint8]:
        """Return the 8-bit levels of a box, shape (h, w)."""
        rows = (np.arange(box.top, box.bottom) + self.row) % self.tile.shape[0]
        columns = (np.arange(box.left, box.right) + self.column) % self.tile.shape[1]
        return np.take(np.take(self.tile, columns, axis=1), rows, axis=0)

    def paint(self, box: Box, pixels: PixelType) -> NDArray[Any]:
        """See :class:`Texture`."""
        return pixels.of_bytes(self.levels(box))

    def mask(self, box: Box) -> NDArray[np.uint8]:
        """Return where the picture is not 0, shape (h, w), uint8 in {0, 1}."""
        return (self.levels(box) != 0).view(np.uint8)
