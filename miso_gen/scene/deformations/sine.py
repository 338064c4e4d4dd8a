"""Sinusoidal deformation: lines of the picture are rolled by a wave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from miso_gen.geometry import Spans, cos_turns, sin_turns
from miso_gen.recipe.parameters import PositiveFloat, PositiveInt
from miso_gen.recipe.plugins import DEFORMATIONS
from miso_gen.scene.interfaces import ShapeDeformation
from miso_gen.scene.regions import Silhouette

if TYPE_CHECKING:
    from numpy.typing import NDArray


@DEFORMATIONS.register("sine")
class Sine(ShapeDeformation):
    """Lines of the silhouette are rolled by a wave.

    Line t is rolled cyclically by trunc(A f(k pi t / W)) pixels. With axis x, column t moves down; with axis y, row t moves
    to the right. A = H / ``amplitude_divisor``.

    ::

        {type: sine, cycles: 3, axis: x, function: cos}

    Source: MISO, sinusoidal deformation. There the loop over the lines ends at H for both axes; here it covers all lines.
    """

    cycles: PositiveInt = 1
    """Half waves over the width of the image (k)."""

    axis: Literal["x", "y"] = "x"
    """x: columns are rolled; y: rows are rolled."""

    function: Literal["cos", "sin"] = "cos"
    """The wave (f)."""

    amplitude_divisor: PositiveFloat = 3.0
    """Height of the image over the amplitude."""

    @property
    def label(self) -> str:
        """See :class:`Deformation`."""
        return f"sine-{self.axis}-{self.function}-{self.cycles}"

    def shifts(self, lines: int, height: int, width: int) -> NDArray[np.int64]:
        """Return the shift of every line in pixels, shape (lines,) int64."""
        turns = np.arange(lines, dtype=np.float64) * float(self.cycles) / (2.0 * width)
        wave = cos_turns(turns) if self.function == "cos" else sin_turns(turns)
        return np.trunc(height / self.amplitude_divisor * wave).astype(np.int64)

    def deform(self, rings: list[NDArray[np.int64]], height: int, width: int) -> Silhouette:
        """See :class:`ShapeDeformation`."""
        if self.axis == "y":
            return Silhouette(Spans.of_polygon(rings, height, width).rolled(self.shifts(height, height, width)))
        mirrored = Spans.of_mirrored_polygon(rings, height, width)
        return Silhouette(mirrored.rolled(self.shifts(width, height, width)), transposed=True)
