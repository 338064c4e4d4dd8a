"""Background of wavering coloured rings."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from miso_gen.geometry import sin_turns
from miso_gen.recipe.parameters import PositiveFloat, UnitInterval, drawn
from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.rng import Stream
from miso_gen.scene.interfaces import PaintedBackground
from miso_gen.scene.lattice import NodeGrid, centres, to_nodes
from miso_gen.scene.pixels import PixelType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.rng import NoiseField
    from miso_gen.scene.textures import Painted

_PHASES = 4096  #: steps of a turn
_TURNS = 180.0 / (3.141592653589793 * 6.283185307179586)  #: the published 180 / pi, in turns

Frequency = Annotated[float, Field(gt=0, le=0.05)]


@BACKGROUNDS.register("rings", alias="2")
class Rings(PaintedBackground):
    """Rings about a point, their distance wavering, each channel with a frequency of its own.

    Value = brightness (1/2 sin(2 pi p) + 1/2), p = 9.12 s d (1 + m) turns, d the distance from the centre in pixels, s the
    frequency of the channel, m a smooth random field. p is cut to 1/4096 of a turn.

    ::

        background: {type: rings, brightness: 0.5}

    Source: Tjoa & Guan, background 2 (type 3 in the text). Its centre lies right of and below the middle of the image, up to
    beyond its border.
    """

    centre_row: float = drawn(uniform=(0.75, 1.25))
    """Row of the centre over the height of the image: 0.5 is the middle."""

    centre_column: float = drawn(uniform=(0.75, 1.25))
    """Column of the centre over the width of the image."""

    frequency_red: Frequency = drawn(uniform=(1e-4, 1e-3))
    """Frequency of channel 0: 1 / (9.12 s) pixels from ring to ring."""

    frequency_green: Frequency = drawn(uniform=(1e-4, 1e-3))
    """Frequency of channel 1."""

    frequency_blue: Frequency = drawn(uniform=(1e-4, 1e-3))
    """Frequency of channel 2."""

    waver: UnitInterval = 0.3
    """Greatest share by which distances waver."""

    node_px: PositiveFloat = 32.0
    """Distance of the nodes of the wavering; the last ones may lie beyond the image."""

    brightness: UnitInterval = 0.5
    """Greatest value."""

    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """See :class:`PaintedBackground`."""
        y, x = centres(box.top, box.bottom), centres(box.left, box.right)
        down, right = y - self.centre_row * canvas.height, x - self.centre_column * canvas.width
        down *= down
        right *= right
        colours = _colours(self.brightness, canvas.dtype)
        out = np.empty((canvas.channels, *box.shape), colours.dtype)
        fields = _fields(self, canvas.height, canvas.width, canvas.channels, noise.address)
        for strips in zip(*(field.strips(y, x) for field in fields), strict=True):
            rows = strips[0][0]
            distance = np.add.outer(down[rows], right)
            np.sqrt(distance, out=distance)
            for channel, (_, phase) in enumerate(strips):
                phase *= distance
                step = phase.astype(np.int64)
                step &= _PHASES - 1
                np.take(colours, step, out=out[channel, rows], mode="clip")
        return out


@lru_cache(maxsize=8)
def _colours(brightness: float, dtype: str) -> NDArray[Any]:
    """Return the pixel of every phase, (4096,)."""
    turns = np.arange(_PHASES, dtype=np.float64) * (1.0 / _PHASES)
    return PixelType(dtype).of_values(brightness * (0.5 * sin_turns(turns) + 0.5))


@lru_cache(maxsize=4)
def _fields(background: Rings, height: int, width: int, channels: int, address: tuple[str | int, ...]) -> tuple[NodeGrid, ...]:
    """Return the phase per pixel of distance, in steps, of each channel; kept for the next tiles of the image."""
    step = background.node_px
    rows, columns = int(np.ceil(height / step)), int(np.ceil(width / step))
    frequencies = (background.frequency_red, background.frequency_green, background.frequency_blue)
    stream, fields = Stream(*address, "nodes"), []
    for channel, frequency in enumerate(frequencies[:channels]):
        shares = stream.at(channel).uniforms(rows * columns).reshape(rows, columns)
        waver = to_nodes(background.waver * (2.0 * shares - 1.0))
        fields.append(NodeGrid((1.0 + waver) * (frequency * _TURNS * _PHASES), step, step))
    return tuple(fields)
