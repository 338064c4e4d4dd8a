"""DSP, distribution-shifted pixels: the object's greys are high or low."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.recipe.parameters import Range
from miso_gen.recipe.plugins import SCENARIOS, Case, Evidence, Variant
from miso_gen.scene.interfaces import SilhouetteScenario
from miso_gen.scene.scene import Layer, Objects, Scene
from miso_gen.scene.textures import Grey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan


@SCENARIOS.register("dsp")
class DistributionShiftedPixels(SilhouetteScenario):
    """One silhouette of uniform greys U (label 1) or 1 - U (label 0) on noise. The object is the evidence.

    Per value of ``fuzz`` and silhouette, a hot and a cold image. Hot pixels are U K, K = 1 with chance 1 - fuzz; cold ones are
    min(1, (1 - U) + 2 S), S = 1 with chance fuzz.

    ::

        scenarios:
          - {type: dsp, hot: [0.6, 1.0], fuzz: {each: [0.0, 0.1]}}

    Source: MISO, distribution-shifted pixels.
    """

    evidence: ClassVar[Evidence] = "pixel"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean intensity", "grey levels")
    classes: ClassVar[tuple[str, ...]] = ("cold", "hot")

    hot: Range = (0.6, 1.0)
    """Lowest and highest value of the object in class 1; class 0 has 1 minus these."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.pairs(cases, morphologies, labels=(1, 0), major="case")

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`."""
        shape = self.silhouette(plan)
        hot = plan.label == 1
        greys = Grey(*self.hot, self.noise(plan, "grey"), mirrored=not hot)
        return Scene(
            **self.blank(plan),
            layers=(Layer(shape, self.flecked(plan, greys, hot=hot), truth=2),),
            objects=(Objects.single("silhouette", shape.bounds),),
        )
