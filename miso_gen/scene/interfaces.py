"""What each family of plug-ins must be able to do in a scene."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from miso_gen.geometry import Spans
from miso_gen.recipe.parameters import OneOf, UnitInterval, chosen
from miso_gen.recipe.plugins import (
    BACKGROUNDS,
    MORPHOLOGIES,
    Background,
    Deformation,
    Morphologies,
    PointProcess,
    Scenario,
    Tissue,
)
from miso_gen.rng import NoiseField
from miso_gen.scene.pixels import PixelType
from miso_gen.scene.regions import Silhouette
from miso_gen.scene.scene import Scene
from miso_gen.scene.textures import Flat, Painted, Peppered, Salted, Texture

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from miso_gen.geometry import Box
    from miso_gen.recipe.model import Canvas
    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.runs import LabelRuns
    from miso_gen.scene.scene import Objects


class OutlinedMorphologies(Morphologies):
    """Silhouettes that are polygons."""

    @abstractmethod
    def rings(self, name: str, height: int, width: int) -> list[NDArray[np.int64]]:
        """Return the outline of a silhouette on a canvas.

        Returns:
            Closed rings under the even-odd rule, each (n, 2) int64 of (x, y) on the odd lattice of ``geometry``.

        Raises:
            UnknownNameError: No silhouette has the name.
        """


class PaintedBackground(Background):
    """A background that paints any box."""

    few_valued: ClassVar[bool] = False  #: whether it paints pictures of few values

    @abstractmethod
    def paint(self, box: Box, canvas: Canvas, noise: NoiseField) -> Painted:
        """Return the pixels of a box in a new array, the same in all channels, or shape (channels, h, w).

        Args:
            box: The box.
            canvas: The image: its size, its channels and the type of its pixels (``PixelType(canvas.dtype)``).
            noise: Random bits per pixel; ``Stream(*noise.address, ...)`` for other draws.
        """


class ScatteredPoints(PointProcess):
    """A process of points that keep their distance."""

    @abstractmethod
    def scatter(self, height: int, width: int, distance: int, *address: str | int) -> NDArray[np.int64]:
        """Return pixel positions on the canvas, shape (n, 2) int64 (row, column), row-major order.

        Args:
            height: Rows of the canvas.
            width: Columns of the canvas.
            distance: No two points are nearer than this many pixels.
            address: The address of its random streams; blocks add their row and column.
        """

    def discs(
        self, height: int, width: int, radius: int, *address: str | int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Return discs that do not overlap: their centres, as of :meth:`scatter`, and their radii.

        Args:
            height: Rows of the canvas.
            width: Columns of the canvas.
            radius: Radius of the discs, where the points have none of their own.
            address: The address of its random streams.

        Returns:
            Centres (n, 2) int64, and radii (n,) int64 from 1, None where all have ``radius``; no two centres are nearer than
            their radii together.
        """
        return self.scatter(height, width, 2 * radius, *address), None


class ShapeDeformation(Deformation):
    """A deformation of a polygon."""

    @abstractmethod
    def deform(self, rings: list[NDArray[np.int64]], height: int, width: int) -> Silhouette:
        """Return the deformed silhouette of an outline (see :class:`OutlinedMorphologies`) on a canvas."""


@dataclass(frozen=True, eq=False)
class TissueCells:
    """The cells of one tissue image.

    Attributes:
        runs: The cells on the canvas, ids from 1.
        telling: Ids of those that make the class; None where nobody knows.
        objects: What the instance table says of them: every cell that shows, under its id.
        drawn: Numbers for the image table.
    """

    runs: LabelRuns
    telling: NDArray[np.int64] | None
    objects: tuple[Objects, ...]
    drawn: Mapping[str, float | int | str] = field(default_factory=dict)


class CellularTissue(Tissue):
    """A tissue that is its cells."""

    @abstractmethod
    def cells(self, plan: ImagePlan) -> TissueCells:
        """Return the cells of a planned image on its canvas.

        Raises:
            RecipeError: The numbers of the plan can't work on its canvas.
        """


@dataclass(frozen=True)
class _Painted:
    """A background with its random bits."""

    background: PaintedBackground
    canvas: Canvas
    noise: NoiseField

    @property
    def few_valued(self) -> bool:
        return self.background.few_valued

    def paint(self, box: Box, pixels: PixelType, within: Box) -> Painted:
        return self.background.paint(box, self.canvas, self.noise)


@lru_cache(maxsize=64)
def silhouette(morphologies: OutlinedMorphologies, name: str, height: int, width: int) -> Silhouette:
    """Return a silhouette rasterised on a canvas; kept for the next images that show it."""
    return Silhouette(Spans.of_polygon(morphologies.rings(name, height, width), height, width))


class SceneScenario(Scenario):
    """A scenario that makes scenes."""

    @abstractmethod
    def scene(self, plan: ImagePlan) -> Scene:
        """Return the scene of a planned image of this scenario."""

    def noise(self, plan: ImagePlan, thing: str) -> NoiseField:
        """Return the noise field of a thing in an image."""
        return NoiseField(*plan.address(thing, shared=False))

    def on(self, background: Background, plan: ImagePlan) -> dict[str, Any]:
        """Return the arguments of :class:`Scene` for the canvas, the pixel type and a background."""
        if not isinstance(background, PaintedBackground):
            raise TypeError(f"background {background.type_name!r} must be a PaintedBackground.")
        canvas = plan.canvas
        return {
            "height": canvas.height,
            "width": canvas.width,
            "channels": canvas.channels,
            "pixels": PixelType(canvas.dtype),
            "background": _Painted(background, canvas, self.noise(plan, "background")),
        }


class PairedScenario(SceneScenario):
    """A scenario of pairs."""

    pair_noise: Literal["independent", "shared"] = "independent"
    """Whether the images of a pair share all noise, and differ in their evidence only."""

    def noise(self, plan: ImagePlan, thing: str) -> NoiseField:
        """Return the noise field of a thing in an image."""
        return NoiseField(*plan.address(thing, shared=self.pair_noise == "shared"))


class BackgroundScenario(PairedScenario):
    """A scenario of pairs on one background."""

    background: Annotated[Background, OneOf(BACKGROUNDS)] = chosen("salt-and-pepper")
    """What fills the image outside of the object."""

    def blank(self, plan: ImagePlan) -> dict[str, Any]:
        """Return the arguments of :class:`Scene` that every image shares: canvas, pixel type, background."""
        return self.on(self.background, plan)


class SilhouetteScenario(BackgroundScenario):
    """A scenario about one large silhouette. Source: MISO, sections on scenarios and pixel rules."""

    morphologies: Annotated[Morphologies, OneOf(MORPHOLOGIES)] = chosen("builtin")
    """The silhouettes."""

    fuzz: UnitInterval = 0.0
    """Chance that a pixel of the object is flecked: pepper on a hot object, salt on a cold one."""

    def outlines(self) -> OutlinedMorphologies:
        """Return the silhouettes as polygons."""
        if not isinstance(self.morphologies, OutlinedMorphologies):
            raise TypeError(f"morphologies {self.morphologies.type_name!r} must be OutlinedMorphologies.")
        return self.morphologies

    def silhouette(self, plan: ImagePlan) -> Silhouette:
        """Return the silhouette of a planned image, rasterised."""
        if plan.morphology is None:
            raise ValueError(f"image {plan.id} must have a morphology, got None.")
        return silhouette(self.outlines(), plan.morphology, plan.canvas.height, plan.canvas.width)

    def flecked(self, plan: ImagePlan, texture: Texture, *, hot: bool) -> Texture:
        """Return a texture with the fuzz of this image: times K where hot, with S where cold."""
        if self.fuzz == 0.0:
            return texture
        if hot:
            return Peppered(texture, 1.0 - self.fuzz, self.noise(plan, "pepper"))
        return Salted(texture, self.fuzz, self.noise(plan, "salt"))

    def flat(self, plan: ImagePlan, value: float, *, hot: bool) -> Texture:
        """Return one value with the fuzz of this image."""
        return self.flecked(plan, Flat(value), hot=hot)
