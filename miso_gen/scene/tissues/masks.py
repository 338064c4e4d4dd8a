"""Tissue that users bring: masks of segmented cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from miso_gen.errors import RecipeError, listing
from miso_gen.imports.samples import MaskFiles
from miso_gen.recipe.counts import SplitShares
from miso_gen.recipe.importing import ContentDigest, Importing
from miso_gen.recipe.parameters import NonNegativeInt
from miso_gen.recipe.plugins import TISSUES, Case, Variant
from miso_gen.rng import Stream
from miso_gen.scene.interfaces import CellularTissue, TissueCells
from miso_gen.scene.samples import sample_table
from miso_gen.scene.scene import Objects
from miso_gen.scene.splitting import deal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.runs import LabelRuns


@TISSUES.register("masks")
class Masks(CellularTissue, Importing):
    """Masks of segmented cells, one image a sample, with classes from a table.

    Labels are numbered in the order of ``classes``. Samples larger than the canvas are cropped to their middle; nothing is
    scaled. Masks of one sample are stitched, row by row, to the most nearly square grid, in the order of the table. Samples
    are dealt to the splits so that each split has its share of each class and no group is in two splits, unless the table
    says which sample is in which split.

    ::

        tissue:
          type: masks
          table: samples.csv
          columns: {mask: mask, class_name: diagnosis, group: patient}
          shares: {train: 0.8, test: 0.2}

    Source: MISO, MISO-2.
    """

    source = MaskFiles
    found = ("samples",)

    samples: ContentDigest
    """The samples that were imported; written by the import."""

    classes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of the classes in the order of their labels; empty: those of the table, sorted."""

    shares: SplitShares | None = None
    """Share of the samples in each split; left out: 0.8 for the first, the others alike."""

    split_seed: NonNegativeInt = 0
    """Another number deals the samples in another way."""

    larger: Literal["crop", "refuse"] = "crop"
    """What becomes of samples larger than the canvas: their middle is shown, or they are refused."""

    smaller: Literal["refuse", "pad"] = "refuse"
    """What becomes of samples smaller than the canvas: they are refused, or lie in its middle with nothing around them."""

    def contents(self) -> tuple[str, ...]:
        """See :class:`Importing`."""
        return (self.samples,)

    @property
    def class_names(self) -> tuple[str, ...]:
        """See :class:`Tissue`.

        Raises:
            RecipeError: ``classes`` are not those of the table.
        """
        there = sample_table(self.samples).classes
        if not self.classes:
            return there
        if sorted(self.classes) != sorted(there):
            raise RecipeError(f"classes must be those of the table, {listing(there)}, got {listing(self.classes)}.")
        return self.classes

    def samples_in(self, split: str, splits: Sequence[str]) -> tuple[str, ...]:
        """See :class:`Tissue`.

        Raises:
            RecipeError: A split is unknown, or lacks a class.
        """
        table = sample_table(self.samples)
        given = {name: str(sample["split"]) for name, sample in table.samples.items()}
        if any(given.values()):
            for name, there in given.items():
                if there not in splits:
                    raise RecipeError(f"split of sample {name!r} must be one of {listing(splits)}, got {there!r}.")
            dealt = given
        else:
            items = {name: (str(s["group"]) or name, str(s["class"])) for name, s in table.samples.items()}
            dealt = deal(items, self._shares(splits), Stream("deal", self.split_seed))
        mine = tuple(name for name, there in dealt.items() if there == split)
        absent = [name for name in self.class_names if name not in {table.samples[sample]["class"] for sample in mine}]
        if absent:
            raise RecipeError(
                f"each split must have samples of every class, got none of {listing(absent)} in {split!r}. "
                "Bring more groups of these classes, change shares or split_seed, or say the splits in the table."
            )
        return mine

    def _shares(self, splits: Sequence[str]) -> dict[str, float]:
        if self.shares is None:
            rest = len(splits) - 1
            return {split: (0.8 if rest else 1.0) if number == 0 else 0.2 / rest for number, split in enumerate(splits)}
        if set(self.shares) != set(splits):
            raise RecipeError(f"shares must name the splits {listing(splits)}, got {listing(tuple(self.shares))}.")
        return dict(self.shares)

    def variants(self, cases: Sequence[Case], samples: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Tissue`."""
        table, labels = sample_table(self.samples), {name: label for label, name in enumerate(self.class_names)}
        for case in cases:
            for name in samples:
                sample = table.samples[name]
                settings = {"sample": name, "group": sample["group"] or name}
                yield Variant(label=labels[str(sample["class"])], case=case, morphology=name, settings=settings)

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Tissue`."""
        canvas = plan.canvas
        height, width = sample_table(self.samples).size(str(plan.morphology))
        there = f"{height} x {width} px"
        if (height < canvas.height or width < canvas.width) and self.smaller == "refuse":
            raise RecipeError(
                f"{plan.id}: sample {plan.morphology!r} must be at least as large as the canvas, {canvas.height} x "
                f"{canvas.width} px, got {there}. Use a smaller canvas, stitch masks, or write smaller: pad."
            )
        if (height > canvas.height or width > canvas.width) and self.larger == "refuse":
            raise RecipeError(
                f"{plan.id}: sample {plan.morphology!r} must be as large as the canvas, {canvas.height} x {canvas.width} px, "
                f"got {there}. Use a larger canvas, or write larger: crop."
            )

    def cells(self, plan: ImagePlan) -> TissueCells:
        """See :class:`CellularTissue`."""
        sample = sample_table(self.samples).sample(str(plan.morphology))
        height, width = plan.canvas.height, plan.canvas.width
        runs = sample.runs.placed(height, width, (height - sample.runs.height) // 2, (width - sample.runs.width) // 2)
        shown = runs.objects  # ids of the whole sample, from 1
        numbers = np.arange(1, len(shown) + 1)
        kinds = sample.kinds[shown - 1]
        telling = None if sample.telling is None else numbers[sample.telling[shown - 1]]
        runs = runs.renumbered(numbers)
        return TissueCells(
            runs, telling, tuple(_objects(runs, kinds)), {"cells": len(shown), "cell_area_px": int(runs.areas.sum())}
        )


def _objects(runs: LabelRuns, kinds: NDArray[np.str_]) -> Iterator[Objects]:
    rows, columns = runs.centroids.T
    for kind in np.unique(kinds).tolist():
        mine = np.flatnonzero(kinds == kind)
        params = {"row": rows[mine], "column": columns[mine], "area_px": runs.areas[mine].astype(np.float64)}
        yield Objects(str(kind), mine + 1, runs.boxes[mine], params)
