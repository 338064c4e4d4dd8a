"""MD, morphological differences: one reference shape against all others."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import OneOf, PositiveInt, UnitInterval, chosen
from miso_gen.recipe.plugins import DEFORMATIONS, SCENARIOS, Case, Deformation, Evidence, Variant
from miso_gen.scene.interfaces import OutlinedMorphologies, ShapeDeformation, SilhouetteScenario
from miso_gen.scene.regions import Inner, Silhouette
from miso_gen.scene.scene import Layer, Objects, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan

_PUBLISHED = [
    *(
        {"type": "sine", "cycles": cycles, "axis": axis, "function": function}
        for axis, function, cycles in product("xy", ("cos", "sin"), (1, 3))
    ),
    {"type": "affine", "rotation_rad": 1.3, "shear_rad": 0.7, "translation_px": [3000.0, 800.0]},
    {"type": "affine", "rotation_rad": 1.5, "shear_rad": 0.5, "translation_px": [3000.0, 800.0]},
]


@SCENARIOS.register("md")
class MorphologicalDifferences(SilhouetteScenario):
    """A white silhouette on noise: the reference (label 0), or another or a deformed reference (label 1).

    Per split: the reference as often as label 1 has images, its values of ``fuzz`` in turn; then each deformation of the
    reference once, with ``deformed_fuzz``; then each other silhouette with each value of ``fuzz``.

    ::

        scenarios:
          - {type: md, fuzz: {each: [0.0, 0.1]}, truth: contour, contour_px: 24}

    Source: MISO, morphological differences.
    """

    evidence: ClassVar[Evidence] = "contour"
    shortcuts: ClassVar[tuple[str, ...]] = ("object share", "fuzz")
    classes: ClassVar[tuple[str, ...]] = ("reference", "other")

    deformations: tuple[Annotated[Deformation, OneOf(DEFORMATIONS)], ...] = chosen(_PUBLISHED)
    """Deformations of the reference, an image each."""

    deformed_fuzz: UnitInterval = 0.1
    """The fuzz of deformed images."""

    truth: Literal["object", "contour"] = "object"
    """What is discriminative: the whole object (as published), or a band along its outline."""

    contour_px: PositiveInt = 24
    """Width of the band, for ``truth: contour``: object pixels with an outside pixel at most this far away."""

    value: UnitInterval = 1.0
    """Value of the object."""

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        reference = self.morphologies.reference
        others = [name for name in morphologies if name != reference]
        guilty = [
            Variant(1, cases[0], reference, settings={"deformation": index}, overrides={"fuzz": self.deformed_fuzz})
            for index in range(len(self.deformations))
        ]
        guilty += [Variant(1, case, name) for name, case in product(others, cases)]
        for index in range(len(guilty)):
            yield Variant(0, cases[index % len(cases)], reference)
        yield from guilty

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        if not self._shape(plan).area:
            raise RecipeError(
                f"{plan.id}: the deformed {plan.morphology!r} must show on the canvas, nothing of it does. "
                f"Fit deformations[{plan.settings['deformation']}] to the canvas ({plan.canvas.height} x {plan.canvas.width})."
            )

    def _deformation(self, plan: ImagePlan) -> Deformation | None:
        index = plan.settings.get("deformation")
        return self.deformations[index] if isinstance(index, int) else None

    def _shape(self, plan: ImagePlan) -> Silhouette:
        deformation = self._deformation(plan)
        if deformation is None or plan.morphology is None:
            return self.silhouette(plan)
        if not isinstance(deformation, ShapeDeformation):
            raise TypeError(f"deformation {deformation.type_name!r} must be a ShapeDeformation.")
        return _deformed(self.outlines(), plan.morphology, deformation, plan.canvas.height, plan.canvas.width)

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`."""
        shape = self._shape(plan)
        texture = self.flat(plan, self.value, hot=True)
        layers: tuple[Layer, ...] = (Layer(shape, texture, truth=2),)
        if self.truth == "contour":
            layers += (Layer(Inner(shape, self.contour_px, plan.canvas.height, plan.canvas.width), truth=1),)
        deformation = self._deformation(plan)
        drawn = {} if deformation is None else {"deformed": deformation.label}
        return Scene(**self.blank(plan), layers=layers, objects=(Objects.single("silhouette", shape.bounds),), drawn=drawn)


@lru_cache(maxsize=16)
def _deformed(
    morphologies: OutlinedMorphologies, name: str, deformation: ShapeDeformation, height: int, width: int
) -> Silhouette:
    """Return a deformed silhouette; kept for the next images that show it."""
    return deformation.deform(morphologies.rings(name, height, width), height, width)
