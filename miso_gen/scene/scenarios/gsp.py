"""GSP, guilty superpixels: one black disc in a white object."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe.parameters import PositiveInt, Range, UnitInterval, drawn
from miso_gen.recipe.plugins import SCENARIOS, Case, Evidence, Variant
from miso_gen.scene.interfaces import SilhouetteScenario
from miso_gen.scene.regions import Disc, Silhouette
from miso_gen.scene.scene import Layer, Objects, Scene
from miso_gen.scene.textures import Flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan

_TRIES = 20_000


@SCENARIOS.register("gsp")
class GuiltySuperpixels(SilhouetteScenario):
    """A white silhouette on noise, intact (label 0) or with one black disc (label 1). The disc is the evidence.

    Per silhouette and value of ``fuzz``, an intact and a guilty image. The disc's place is drawn until more than
    ``window_share`` of the square window around it is object; the disc is cut by the image border only, so that it may reach
    into the background, and is black after all noise. An intact image has no discriminative pixel: its label is an absence.

    ::

        scenarios:
          - {type: gsp, radius_px: {uniform: [100, 300]}}

    Source: MISO, guilty superpixels.
    """

    evidence: ClassVar[Evidence] = "absence"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean intensity",)  # beside the size of the object
    classes: ClassVar[tuple[str, ...]] = ("intact", "guilty")

    radius_px: PositiveInt = drawn(uniform=(100, 300))
    """Radius of the disc."""

    centre: Range = (0.25, 0.75)
    """Where the disc's centre may lie: from the first to below the second share of the height, and of the width."""

    window_px: PositiveInt = 20
    """Side of the window around the disc's centre."""

    window_share: UnitInterval = 0.8
    """The object's share of the window must be larger than this."""

    value: UnitInterval = 1.0
    """Value of the object."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.pairs(cases, morphologies, labels=(0, 1), major="shape")

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        height, width = plan.canvas.height, plan.canvas.width
        for size in (height, width):
            first, last = int(size * self.centre[0]), int(size * self.centre[1]) - 1
            if first > last:
                raise RecipeError(
                    f"{plan.scenario}: centre must hold a pixel on a {height} x {width} canvas, "
                    f"got {list(self.centre)}. Widen it."
                )
            most = 2 * min(first, size - last)
            if self.window_px > most:
                raise RecipeError(
                    f"{plan.scenario}: window_px must be at most {most} on a {height} x {width} canvas with centre "
                    f"{list(self.centre)}, got {self.window_px}. Use a smaller window, a narrower centre or a larger canvas."
                )
        if plan.label == 0:
            return
        shape = self.silhouette(plan)
        disc = int(3.141592653589793 * self.radius_px**2)
        if disc > shape.area:
            raise RecipeError(
                f"{plan.id}: radius_px must give a disc smaller than the object ({shape.area:,} px for {plan.morphology!r} on a "
                f"{height} x {width} canvas), got {self.radius_px} ({disc:,} px). Use a smaller radius or a larger canvas."
            )

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: No place in the silhouette takes the disc.
        """
        shape = self.silhouette(plan)
        layers = [Layer(shape, self.flat(plan, self.value, hot=True), truth=1, instance=1)]
        objects = [Objects.single("silhouette", shape.bounds)]
        if plan.label == 0:
            return Scene(**self.blank(plan), layers=tuple(layers), objects=tuple(objects))
        row, column = self._place(plan, shape)
        disc = Disc(row, column, self.radius_px, plan.canvas.height, plan.canvas.width)
        place = {"row": row, "column": column, "radius_px": self.radius_px}
        return Scene(
            **self.blank(plan),
            layers=(*layers, Layer(disc, Flat(0.0), truth=2, instance=2)),
            objects=(*objects, Objects.single("disc", disc.bounds, 2, **place)),
            instances=np.dtype(np.uint16),
            drawn={"disc_row": row, "disc_column": column},
        )

    def _place(self, plan: ImagePlan, shape: Silhouette) -> tuple[int, int]:
        """Return the centre pixel of the disc: the first of the drawn places whose window is object enough."""
        stream = plan.stream("disc", shared=False)
        height, width = plan.canvas.height, plan.canvas.width
        rows, columns = ((int(size * self.centre[0]), int(size * self.centre[1])) for size in (height, width))
        half = self.window_px // 2
        for _ in range(_TRIES):
            row, column = stream.integer(*rows), stream.integer(*columns)
            window = Box(row - half, column - half, row - half + self.window_px, column - half + self.window_px)
            if int(shape.spans.mask(window).sum()) > self.window_share * window.height * window.width:
                return row, column
        raise RecipeError(
            f"{plan.id}: {plan.morphology!r} must hold a window of {self.window_px} px with more than {self.window_share:.0%} "
            f"object in its central part, found none in {_TRIES:,} places. Use a smaller window_px or window_share."
        )
