"""EVSP, extreme value superpixels: small discs inside the silhouette are white or black."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import OneOf, PositiveInt, UnitInterval, chosen
from miso_gen.recipe.plugins import POINTS, SCENARIOS, Case, Evidence, PointProcess, Variant
from miso_gen.scene.interfaces import ScatteredPoints, SilhouetteScenario
from miso_gen.scene.regions import DiscField, Silhouette
from miso_gen.scene.scene import Layer, Objects, Scene, instance_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan


@SCENARIOS.register("evsp")
class ExtremeValueSuperpixels(SilhouetteScenario):
    """Small discs, cut by a silhouette, on noise: hot (label 1) or cold (label 0). The discs are the evidence.

    Per silhouette and value of ``fuzz``, a hot and a cold image with the same discs. Between the discs there is noise, inside
    the silhouette as outside. A pixel belongs to a disc iff its centre is nearer than the radius to the disc's centre pixel.

    ::

        scenarios:
          - {type: evsp, radius_px: 10, points: {type: matern, candidates_per_mpx: 800}}

    Source: MISO, extreme value superpixels. There the discs lie at the cells of real tissue; here at points of a process.
    """

    evidence: ClassVar[Evidence] = "object"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean intensity",)
    classes: ClassVar[tuple[str, ...]] = ("cold", "hot")

    radius_px: PositiveInt = 10
    """Radius of the discs, unless the points bring their own; no two centres are nearer than twice as much."""

    points: Annotated[PointProcess, OneOf(POINTS)] = chosen("matern")
    """Where the discs are."""

    hot: UnitInterval = 1.0
    """Value of the discs in class 1."""

    cold: UnitInterval = 0.0
    """Value of the discs in class 0."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.pairs(cases, morphologies, labels=(1, 0), major="shape")

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        side = min(plan.canvas.height, plan.canvas.width)
        if 4 * self.radius_px > side:
            raise RecipeError(
                f"{plan.scenario}: radius_px must be at most a quarter of the canvas's shorter side ({side // 4}), "
                f"got {self.radius_px}. Use smaller discs or a larger canvas."
            )

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: No disc shows inside the silhouette, or the points can't be fitted to the canvas.
        """
        if not isinstance(self.points, ScatteredPoints):
            raise TypeError(f"points {self.points.type_name!r} must be ScatteredPoints.")
        shape = self.silhouette(plan)
        try:
            discs = _discs(self.points, self.radius_px, shape, plan.address("points", shared=True))
        except RecipeError as error:
            raise RecipeError(f"{plan.id}: {error}") from None
        count = len(discs.centres)
        if count == 0:
            raise RecipeError(
                f"{plan.id}: points must leave at least one disc inside {plan.morphology!r}, got none. "
                "Ask for more candidates_per_mpx, a smaller radius_px or a larger canvas."
            )
        hot = plan.label == 1
        rows, columns = discs.centres.T.astype(np.float64)
        params = {"row": rows, "column": columns, "radius_px": discs.radii.astype(np.float64)}
        return Scene(
            **self.blank(plan),
            layers=(Layer(discs, self.flat(plan, self.hot if hot else self.cold, hot=hot), truth=2),),
            objects=(Objects("disc", np.arange(1, count + 1), discs.boxes(), params),),
            instances=instance_type(count),
            drawn={"discs": count},
        )


@lru_cache(maxsize=2)
def _discs(points: ScatteredPoints, radius: int, shape: Silhouette, address: tuple[str | int, ...]) -> DiscField:
    """Return the discs of a pair; kept for its second image.

    Raises:
        RecipeError: The points can't be fitted to the canvas.
    """
    spans = shape.spans
    centres, radii = points.discs(spans.height, spans.width, radius, *address)
    return DiscField(centres, radius if radii is None else radii, shape)
