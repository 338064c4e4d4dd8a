"""What a grey value in [0, 1] is in the stored type, and exact selection by masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from miso_gen.planes import Bits


@dataclass(frozen=True)
class PixelType:
    """A stored pixel type; values in [0, 1] take its full range.

    Attributes:
        name: ``uint8`` (0 .. 255), ``uint16`` (0 .. 65535) or ``float32`` (0 .. 1).
    """

    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.name)

    @property
    def whole(self) -> bool:
        """Whether pixels are the whole numbers themselves."""
        return self.name != "float32"

    @property
    def top(self) -> int:
        """The whole number that stands for 1; 65535 for float32, whose greys step as uint16's."""
        return 255 if self.name == "uint8" else 65535

    def level(self, value: float) -> int:
        """Return the whole number of a value in [0, 1]: floor(top v + 1/2)."""
        return int(self.top * value + 0.5)

    def flat(self, value: float) -> NDArray[Any]:
        """Return a value in [0, 1] as a pixel, shape ()."""
        return np.asarray(value if self.name == "float32" else self.level(value), self.dtype)

    def of_levels(self, levels: NDArray[Any]) -> NDArray[Any]:
        """Return whole numbers in 0 .. top as pixels."""
        if self.name == "float32":
            return (levels.astype(np.float64) / 65535.0).astype(np.float32)
        return levels.astype(self.dtype, copy=False)

    def of_values(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return values in [0, 1] as pixels: floor(top v + 1/2)."""
        levels = values * float(self.top)
        levels += 0.5
        return self.of_levels(levels.astype(np.int32))

    def to_levels(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return pixels as whole numbers in 0 .. top, the nearest."""
        if self.name == "float32":
            return np.floor(values.astype(np.float64) * 65535.0 + 0.5).astype(np.uint32)
        return values

    def of_bytes(self, levels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return 8-bit levels (0 .. 255 for 0 .. 1) as pixels."""
        if self.name == "uint8":
            return levels
        if self.name == "uint16":
            return levels.astype(np.uint16) * np.uint16(257)
        return (levels.astype(np.float64) / 255.0).astype(np.float32)

    def full(self, mask: Bits) -> NDArray[Any]:
        """Return a mask as words of the pixel's size with no or all bits set, shape (h, w)."""
        word = np.dtype(f"u{self.dtype.itemsize}")
        return np.negative(mask.unpack().astype(word, copy=False))

    def planes(self, shape: tuple[int, int], values: Mapping[float, Bits]) -> Planes:
        """Return a picture of few different values in [0, 1], each with the pixels that have it; all others are 0."""
        planes: dict[float, Bits] = {}
        for value, bits in values.items():
            level = self.flat(value).item()
            if level:
                planes[level] = planes[level] | bits if level in planes else bits
        return Planes(self.dtype, shape, planes)

    def select(self, mask: Bits, yes: NDArray[Any], no: NDArray[Any]) -> NDArray[Any]:
        """Return ``yes`` where the mask is set, else ``no``; shapes broadcast to the mask's."""
        full = self.full(mask)
        below = no.view(full.dtype)
        difference = below ^ yes.view(full.dtype)
        difference &= full
        difference ^= below
        return difference.view(self.dtype)
