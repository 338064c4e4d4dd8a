"""EVP, extreme value pixels: the object is white or black."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.recipe.parameters import UnitInterval
from miso_gen.recipe.plugins import SCENARIOS, Case, Evidence, Variant
from miso_gen.scene.interfaces import SilhouetteScenario
from miso_gen.scene.scene import Layer, Objects, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan


@SCENARIOS.register("evp")
class ExtremeValuePixels(SilhouetteScenario):
    """One silhouette on noise: hot (label 1) or cold (label 0). The object is the evidence.

    Per value of ``fuzz`` and silhouette, a hot and a cold image. Hot pixels are ``hot`` times K, K = 1 with chance 1 - fuzz;
    cold ones are ``cold``, or 1 with chance fuzz.

    ::

        scenarios:
          - {type: evp, fuzz: {each: [0.0, 0.1]}}

    Source: MISO, extreme value pixels.
    """

    evidence: ClassVar[Evidence] = "pixel"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean intensity",)
    classes: ClassVar[tuple[str, ...]] = ("cold", "hot")

    hot: UnitInterval = 1.0
    """Value of the object in class 1."""

    cold: UnitInterval = 0.0
    """Value of the object in class 0."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.pairs(cases, morphologies, labels=(1, 0), major="case")

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`."""
        shape = self.silhouette(plan)
        hot = plan.label == 1
        texture = self.flat(plan, self.hot if hot else self.cold, hot=hot)
        return Scene(
            **self.blank(plan),
            layers=(Layer(shape, texture, truth=2),),
            objects=(Objects.single("silhouette", shape.bounds),),
        )
