"""Points that users bring: coordinates of real things, fitted to the canvas."""

from __future__ import annotations

import warnings
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from miso_gen.contents import recall
from miso_gen.errors import MisoGenWarning, RecipeError
from miso_gen.imports.coordinates import UNITS, NamedPoints, PointFiles
from miso_gen.recipe.importing import Importing
from miso_gen.recipe.plugins import POINTS
from miso_gen.rng import Stream
from miso_gen.scene.interfaces import ScatteredPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fit = Literal["scale", "crop", "none"]

#: steps to a cell itself and its neighbours, the nearest first
_AROUND = ((0, 0), (-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


@POINTS.register("csv")
class ImportedPoints(ScatteredPoints, Importing):
    """Points of CSV or Parquet tables: where cells, stars or particles of real pictures lie.

    Each image, or group of images with the same points, shows one of the sets, drawn uniformly. A point is the pixel that it
    falls into: (0, 0) is the upper left corner of the picture. Where points are nearer than they may be, some are left out: in
    a random order, each that is too near to one before it that stays. Points with radii bring the radii of the discs of
    ``evsp``, scaled like their places, 1 px or more.

    ::

        points:
          type: csv
          path: cells/*.csv
          columns: {x: centroid_x, y: centroid_y}

    Source: MISO, EVSP, whose discs lie at the cells of real tissue.
    """

    source = PointFiles
    found = ("sets",)

    sets: Annotated[tuple[NamedPoints, ...], Field(min_length=1)]
    """The sets of points that were imported; written by the import."""

    fit: Fit = "scale"
    """scale: extent fills the canvas, aspect kept, centred; crop: pixels as they are, centred; none: from the upper left."""

    def contents(self) -> tuple[str, ...]:
        """See :class:`Importing`."""
        return tuple(one.content for one in self.sets)

    def scatter(self, height: int, width: int, distance: int, *address: str | int) -> NDArray[np.int64]:
        """See :class:`ScatteredPoints`.

        Raises:
            RecipeError: With ``fit: none``, all points are off the canvas.
        """
        places, _, order = self._drawn(height, width, *address)
        kept = thinned(places, np.full(len(places), distance), order)
        return _row_major(places[kept])[0]

    def discs(
        self, height: int, width: int, radius: int, *address: str | int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """See :class:`ScatteredPoints`.

        Raises:
            RecipeError: With ``fit: none``, all points are off the canvas; or a radius is beyond a quarter of its shorter side.
        """
        places, radii, order = self._drawn(height, width, *address)
        if radii is None:
            return self.scatter(height, width, 2 * radius, *address), None
        most = min(height, width) // 4
        if int(radii.max(initial=0)) > most:
            raise RecipeError(
                f"radii of points must be at most a quarter of the canvas's shorter side ({most}), got {radii.max()}. "
                "Leave large ones out, write another fit, or use a larger canvas."
            )
        kept = thinned(places, 2 * radii, order)
        centres, along = _row_major(places[kept])
        return centres, radii[kept][along]

    def _drawn(
        self, height: int, width: int, *address: str | int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, NDArray[np.int64]]:
        """Return places and radii of a set on the canvas, and a random order of its points."""
        stream = Stream(*address)
        one = self.sets[stream.integer(0, len(self.sets))]
        places, radii = fitted(one.content, one.name, self.fit, height, width)
        return places, radii, np.argsort(stream.raw(len(places)), kind="stable")


@lru_cache(maxsize=8)
def fitted(digest: str, name: str, fit: Fit, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the points of a content that are on a canvas, in the order of the content; by whole numbers.

    Args:
        digest: The content.
        name: What the set is called.
        fit: How it is fitted.
        height: Rows of the canvas.
        width: Columns of the canvas.

    Returns:
        Pixels (n, 2) int64, and radii (n,) int64 in pixels, 1 or more; None where the points have none.

    Raises:
        RecipeError: With ``fit: none``, all points are off the canvas.
    """
    content = recall(digest)
    units = content.arrays["places"].astype(np.int64)
    canvas = np.array([height, width], np.int64)
    extent = content.facts["extent"]
    # A point is the middle of its unit, so that a box around points ends one unit behind the last.
    low = np.array(extent[:2]) if extent else np.zeros(2, np.int64) if fit == "none" else units.min(axis=0)
    size = np.array(extent[2:]) - low if extent else units.max(axis=0) + 1 - low
    over, under = 1, UNITS
    if fit == "scale":
        over, under = min(((int(canvas[axis]), int(size[axis])) for axis in (0, 1)), key=lambda factor: Fraction(*factor))
    margin = canvas * under - size * over if fit != "none" else 0  # twice the border of the canvas around the extent
    places = ((2 * (units - low) + 1) * over + margin) // (2 * under)
    there = np.asarray(((places >= 0) & (places < canvas)).all(axis=1), np.bool_)
    if fit == "none" and not there.any():
        raise RecipeError(
            f"points of set {name!r} must be on the canvas, {height} x {width} px, got all of {len(there)} beyond it. "
            "Write fit: scale or crop, or use a larger canvas."
        )
    if fit == "none" and not there.all():
        text = f"{int((~there).sum())} of {len(there)} points of set {name!r} are off the canvas, {height} x {width} px."
        warnings.warn(text, MisoGenWarning, stacklevel=2)
    if "radii" not in content.arrays:
        return places[there], None
    radii = (2 * content.arrays["radii"].astype(np.int64) * over + under) // (2 * under)
    return places[there], np.maximum(radii, 1)[there]


def thinned(places: NDArray[np.int64], spans: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which points stay: in an order, each that is not too near to one before it that stays.

    Args:
        places: (n, 2) int64, rows and columns.
        spans: (n,) int64 from 1; two points must be as far apart as half of their spans together.
        order: (n,) int64, the numbers of the points.

    Returns:
        (m,) int64, numbers of points, ascending.
    """
    side = int(spans.max(initial=1))  # points farther apart than this never meet: a cell and its neighbours hold all that do
    cells: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    kept = []
    for number, (row, column), span in zip(order.tolist(), places[order].tolist(), spans[order].tolist(), strict=True):
        above, before = row // side, column // side
        for around in _AROUND:
            for other_row, other_column, other in cells.get((above + around[0], before + around[1]), ()):
                apart = (row - other_row) ** 2 + (column - other_column) ** 2
                if 4 * apart < (span + other) ** 2:
                    break
            else:
                continue
            break
        else:
            kept.append(number)
            cells.setdefault((above, before), []).append((row, column, span))
    return np.sort(np.array(kept, np.int64))


def _row_major(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places in row-major order, and where each comes from."""
    along = np.lexsort((places[:, 1], places[:, 0]))
    return places[along], along
