"""Tissue, MISO-2: pictures of cells, with classes that differ in kinds and arrangement of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import OneOf, UnitInterval, chosen
from miso_gen.recipe.plugins import BACKGROUNDS, SCENARIOS, TISSUES, Background, Case, Evidence, Tissue, Variant
from miso_gen.scene.interfaces import CellularTissue, SceneScenario
from miso_gen.scene.scene import Layer, Scene, instance_type
from miso_gen.scene.textures import Flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.runs import LabelRuns


@SCENARIOS.register("tissue")
class TissueScenario(SceneScenario):
    """Cells of a tissue, white on black; the class is what the tissue is. The cells that make it are the evidence.

    Where the tissue knows which cells make its class, these are level 2 and all others level 1. Where it does not, all cells
    are level 2 and the index says ``truth_2_known = false``; level >= 1 is exact in both cases.

    ::

        scenarios:
          - {type: tissue, tissue: {type: simulated, images: {train: 148, test: 36}}}

    Source: MISO, MISO-2. There: 184 masks of segmented histology, compared with maps at level >= 1.
    """

    evidence: ClassVar[Evidence] = "arrangement"
    classes: ClassVar[tuple[str, ...]] = ("glandular", "nests")  # of simulated tissue

    tissue: Annotated[Tissue, OneOf(TISSUES)]
    """Where the cells come from."""

    background: Annotated[Background, OneOf(BACKGROUNDS)] = chosen({"type": "constant", "value": 0.0})
    """What lies between the cells."""

    value: UnitInterval = 1.0
    """Value of the cells."""

    @property
    def reason(self) -> Evidence:
        """What makes the label true in this tissue."""
        return self.tissue.evidence

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.tissue.class_names

    @property
    def known_shortcuts(self) -> tuple[str, ...]:
        """What else gives the label away in this tissue."""
        return self.tissue.shortcuts

    def images_in(self, split: str) -> int | None:
        """See :class:`Scenario`."""
        return self.tissue.images_in(split)

    def shapes_in(self, split: str, splits: Sequence[str]) -> tuple[str, ...]:
        """Return the samples of a split."""
        return self.tissue.samples_in(split, splits)

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        return self.tissue.variants(cases, morphologies)

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        self.tissue.check(plan)

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: The image shows no cell.
        """
        if not isinstance(self.tissue, CellularTissue):
            raise TypeError(f"tissue {self.tissue.type_name!r} must be a CellularTissue.")
        cells = self.tissue.cells(plan)
        if not len(cells.runs.objects):
            raise RecipeError(f"{plan.id}: the tissue must show a cell on the canvas, got none. Use another part of it.")
        return Scene(
            **self.on(self.background, plan),
            layers=tuple(self._layers(cells.runs, cells.telling)),
            objects=cells.objects,
            instances=instance_type(int(cells.runs.objects[-1])),
            drawn=cells.drawn,
            truth_2_known=cells.telling is not None,
        )

    def _layers(self, runs: LabelRuns, telling: np.ndarray[tuple[int], np.dtype[np.int64]] | None) -> Iterator[Layer]:
        texture = Flat(self.value)
        if telling is None:
            yield Layer(runs, texture, truth=2)
            return
        parts = ((runs.only(np.setdiff1d(runs.objects, telling)), 1), (runs.only(telling), 2))
        for part, level in parts:
            if len(part.ids):
                yield Layer(part, texture, truth=level)
