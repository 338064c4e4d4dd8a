"""Affine deformation: rotation, shear and translation of the outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miso_gen.errors import RecipeError
from miso_gen.geometry import LATTICE, TURNS_PER_RADIAN, Spans, cos_turns, sin_turns, to_lattice
from miso_gen.recipe.plugins import DEFORMATIONS
from miso_gen.scene.interfaces import ShapeDeformation
from miso_gen.scene.regions import Silhouette

if TYPE_CHECKING:
    from numpy.typing import NDArray


@DEFORMATIONS.register("affine")
class Affine(ShapeDeformation):
    """Rotation, shear and translation of the outline.

    The map from output to input is [[cos r, -sin(r + s)], [sin r, cos(r + s)]] p + (tx, ty), p = (x, y) in pixels. Vertices
    go through its inverse in float64 and are rounded to the vertex lattice, so that the result is binary (the source
    resamples the picture bilinearly and keeps fractional values along its rim).

    ::

        {type: affine, rotation_rad: 1.3, shear_rad: 0.7, translation_px: [3000, 800]}

    Source: MISO, affine deformation.
    """

    rotation_rad: float = 0.0
    """Rotation r in radians."""

    shear_rad: float = 0.0
    """Shear s in radians."""

    translation_px: tuple[float, float] = (0.0, 0.0)
    """(tx, ty) in pixels, x to the right, y down."""

    @property
    def label(self) -> str:
        """See :class:`Deformation`."""
        return f"affine-r{self.rotation_rad:g}-s{self.shear_rad:g}"

    def deform(self, rings: list[NDArray[np.int64]], height: int, width: int) -> Silhouette:
        """See :class:`ShapeDeformation`.

        Raises:
            RecipeError: The map has no inverse.
        """
        turn, skew = self.rotation_rad * TURNS_PER_RADIAN, (self.rotation_rad + self.shear_rad) * TURNS_PER_RADIAN
        a, b = float(cos_turns(turn)), -float(sin_turns(skew))
        c, d = float(sin_turns(turn)), float(cos_turns(skew))
        determinant = a * d - b * c
        if abs(determinant) < 1e-6:
            raise RecipeError(
                f"rotation_rad and shear_rad must make a map with an inverse, got {self.rotation_rad:g} and {self.shear_rad:g}, "
                "which flatten the picture to a line. Change one of them."
            )
        moved = []
        for ring in rings:
            x = ring[:, 0] * (1.0 / LATTICE) - self.translation_px[0]
            y = ring[:, 1] * (1.0 / LATTICE) - self.translation_px[1]
            moved.append(to_lattice(np.stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant], axis=1)))
        return Silhouette(Spans.of_polygon(moved, height, width))
