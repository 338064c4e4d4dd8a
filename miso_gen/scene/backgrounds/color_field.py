"""Background of smooth random colours."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from miso_gen.recipe.parameters import PositiveFloat, Range
from miso_gen.recipe.plugins import BACKGROUNDS
from miso_gen.rng import Stream
from miso_gen.scene.interfaces import PaintedBackground
from miso_gen.scene.lattice import NodeGrid, centres, to_nodes
from miso_gen.scene.pixels import PixelType

if TYPE_CHECKING:
    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.rng import NoiseField
    from miso_gen.scene.textures import Painted


@BACKGROUNDS.register("color-field", alias="1")
class ColorField(PaintedBackground):
    """Smooth colours: independent uniform values per channel at nodes, bilinear between them.

    ::

        background: {type: color-field, node_px: 64, values: [0.2, 0.7]}

    Source: Tjoa & Guan, background 1 (type 2 in the text): 8 x 8 nodes on 512 px.
    """

    node_px: PositiveFloat = 64.0
    """Distance of the nodes; the last ones may lie beyond the image."""

    values: Range = (0.2, 0.7)
    """Least and greatest value of a node."""

    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """See :class:`PaintedBackground`."""
        y, x = centres(box.top, box.bottom), centres(box.left, box.right)
        pixels = PixelType(canvas.dtype)
        fields = _fields(self, canvas.height, canvas.width, canvas.channels, pixels.top, noise.address)
        out = np.empty((len(fields), *box.shape), canvas.dtype)
        for channel, field in enumerate(fields):
            for rows, values in field.strips(y, x):
                out[channel, rows] = values if pixels.whole else pixels.of_levels(np.floor(values))
        return out


@lru_cache(maxsize=4)
def _fields(
    background: ColorField, height: int, width: int, channels: int, top: int, address: tuple[str | int, ...]
) -> tuple[NodeGrid, ...]:
    """Return top v + 1/2 for each channel, the pixel's level but for what is cut off; kept for the next tiles of the image."""
    step = background.node_px
    rows, columns = int(np.ceil(height / step)), int(np.ceil(width / step))
    low, high = background.values
    stream, fields = Stream(*address, "nodes"), []
    for channel in range(channels):
        shares = stream.at(channel).uniforms(rows * columns).reshape(rows, columns)
        fields.append(NodeGrid(to_nodes(low + (high - low) * shares), step, step).mapped(float(top), 0.5))
    return tuple(fields)
