"""FM, fractal morphologies: an object filled, or tiled with small copies of itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe.parameters import NonNegativeInt, PositiveInt, UnitInterval
from miso_gen.recipe.plugins import SCENARIOS, Case, Evidence, Variant
from miso_gen.scene.interfaces import SilhouetteScenario
from miso_gen.scene.regions import Silhouette
from miso_gen.scene.scene import Layer, Objects, Scene, instance_type
from miso_gen.scene.textures import Tiled
from miso_gen.scene.tiling import area_copy, crop_box, is_busy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.planes import Bits
    from miso_gen.recipe.plan import ImagePlan


@SCENARIOS.register("fm")
class FractalMorphologies(SilhouetteScenario):
    """A silhouette on noise, whole (label 0) or tiled with small grey copies of itself (label 1).

    Per silhouette and value of ``fuzz``, a whole and a fractal image. The copy is the silhouette, or its padded crop where it
    leaves room at the border, shrunk by area to a tenth of the canvas; its grey rim stays. Where a copy is 0 the noise of the
    background shows, but the whole silhouette is the evidence in both classes: a gap is as much evidence of tiling as a tile.

    ::

        scenarios:
          - {type: fm, shrink: 10}

    Source: MISO, fractal morphologies.
    """

    evidence: ClassVar[Evidence] = "arrangement"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean intensity", "grey levels")
    classes: ClassVar[tuple[str, ...]] = ("whole", "fractal")

    shrink: PositiveInt = 10
    """Canvas over tile: a tile is H // shrink rows by W // shrink columns."""

    tiles_busy: PositiveInt = 10
    """Tiles along each axis, from the image's corner, where the silhouette is too full at its border to be cropped."""

    tiles: PositiveInt = 60
    """Tiles along each axis otherwise; the middle of them is shown."""

    line_px: NonNegativeInt = 200
    """The crop runs from the first to the last row and column with more than this many pixels of the silhouette."""

    pad_px: NonNegativeInt = 50
    """Margin of the crop."""

    corner_px: PositiveInt = 50
    """Side of the squares at the image's corners that decide whether a silhouette is busy."""

    value: UnitInterval = 1.0
    """Value of the whole object, and the highest value of a tile."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.pairs(cases, morphologies, labels=(0, 1), major="shape")

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        height, width = plan.canvas.height, plan.canvas.width
        if min(height, width) // self.shrink < 2:
            raise RecipeError(
                f"{plan.scenario}: shrink must leave tiles of at least 2 x 2 px on a {height} x {width} canvas, "
                f"got {self.shrink}. Use at most {min(height, width) // 2}."
            )
        if plan.label == 1:
            self._tile(plan, self.silhouette(plan))

    def _tile(self, plan: ImagePlan, shape: Silhouette) -> tuple[Tiled, str]:
        height, width = plan.canvas.height, plan.canvas.width
        busy = is_busy(shape.spans, self.corner_px)
        count = self.tiles_busy if busy else self.tiles
        if count < self.shrink:
            name = "tiles_busy" if busy else "tiles"
            raise RecipeError(
                f"{plan.scenario}: {name} must be at least shrink ({self.shrink}) to cover the image, got {count}. "
                "Use more tiles, or a smaller shrink."
            )
        source = Box(0, 0, height, width) if busy else crop_box(shape.spans, self.line_px, self.pad_px)
        if source is None:
            raise RecipeError(
                f"{plan.id}: line_px must be smaller than the longest row and column of {plan.morphology!r}, got {self.line_px}. "
                "Use a smaller line_px or a larger canvas."
            )
        tile = _tile(shape, source, height // self.shrink, width // self.shrink)
        if not tile.any():
            raise RecipeError(
                f"{plan.id}: the small copy of {plan.morphology!r} is empty. Use a smaller shrink or a larger canvas."
            )
        row, column = (0, 0) if busy else ((tile.shape[0] * count - height) // 2, (tile.shape[1] * count - width) // 2)
        return Tiled(tile, row, column), "busy" if busy else "cropped"

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: The small copy is empty, or does not cover the image.
        """
        shape = self.silhouette(plan)
        if plan.label == 0:
            return Scene(
                **self.blank(plan),
                layers=(Layer(shape, self.flat(plan, self.value, hot=True), truth=2),),
                objects=(Objects.single("silhouette", shape.bounds),),
            )
        tiled, branch = self._tile(plan, shape)
        tiles = Tiles(shape, tiled)
        if self.value != 1.0:
            tiled = Tiled((tiled.tile * self.value + 0.5).astype(np.uint8), tiled.row, tiled.column)
        return Scene(
            **self.blank(plan),
            layers=(Layer(tiles, self.flecked(plan, tiled, hot=True), stencil=tiles.tiled, truth=2),),
            objects=(tiles.objects(),),
            instances=instance_type(tiles.down * tiles.across),
            drawn={"tiling": branch, "tile_height": tiled.tile.shape[0], "tile_width": tiled.tile.shape[1]},
        )


@lru_cache(maxsize=32)
def _tile(shape: Silhouette, source: Box, height: int, width: int) -> NDArray[np.uint8]:
    """Return the small copy with its greatest value stretched to 255; kept for the next images of the silhouette."""
    copy = area_copy(shape.spans, source, height, width).astype(np.int64)
    return (copy * 255 // max(int(copy.max()), 1)).astype(np.uint8)


class Tiles:
    """The silhouette, its tiles numbered row by row from 1, those that show nothing included.

    Args:
        shape: The silhouette.
        tiled: The tile and where the image starts in it.
    """

    def __init__(self, shape: Silhouette, tiled: Tiled) -> None:
        self.shape, self.tiled = shape, tiled
        spans = shape.spans
        self.height, self.width = (spans.width, spans.height) if shape.transposed else (spans.height, spans.width)
        rows, columns = tiled.tile.shape
        self._row, self._column = tiled.row % rows, tiled.column % columns
        self.down = (self.height - 1 + self._row) // rows + 1
        self.across = (self.width - 1 + self._column) // columns + 1

    @property
    def bounds(self) -> Box:
        """The box of the silhouette."""
        return self.shape.bounds

    def mask(self, box: Box) -> Bits | None:
        """See :class:`Region`."""
        return self.shape.mask(box)

    def labels(self, box: Box, dtype: np.dtype[Any]) -> tuple[Bits, NDArray[Any]] | None:
        """See :class:`LabelledRegion`."""
        mask = self.shape.mask(box)
        if mask is None:
            return None
        rows, columns = self.tiled.tile.shape
        first = (np.arange(box.top, box.bottom) + self._row) // rows * self.across
        second = (np.arange(box.left, box.right) + self._column) // columns + 1
        ids = first.astype(dtype)[:, None] + second.astype(dtype)[None, :]
        ids &= np.negative(mask.unpack().astype(dtype))
        return mask, ids

    def objects(self) -> Objects:
        """Return the tiles that hold a pixel of the silhouette, each with its box on the canvas."""
        tile = self.tiled.tile.shape
        ids, boxes = _tiles_shown(self.shape, Box(0, 0, self.height, self.width), tile, (self._row, self._column), self.across)
        return Objects("tile", ids, boxes)


@lru_cache(maxsize=32)
def _tiles_shown(
    shape: Silhouette, canvas: Box, tile: tuple[int, int], origin: tuple[int, int], across: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids and boxes of the tiles that hold a pixel of the silhouette; kept for its next images."""
    ids, boxes = [], []
    for row, top in enumerate(range(-origin[0], canvas.height, tile[0])):
        for column, left in enumerate(range(-origin[1], canvas.width, tile[1])):
            box = Box(top, left, top + tile[0], left + tile[1]).intersection(canvas)
            mask = shape.mask(box)
            if mask is not None and mask.any():
                ids.append(row * across + column + 1)
                boxes.append((box.top, box.left, box.bottom, box.right))
    return np.array(ids, np.int64), np.array(boxes, np.int64).reshape(-1, 4)
