"""One cell in an image: the label is its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box, cos_turns, sin_turns
from miso_gen.recipe.parameters import PositiveFloat, chosen
from miso_gen.recipe.plugins import SCENARIOS, Case, Evidence, Variant
from miso_gen.scene.celled import CellScenario, EachOwnCells
from miso_gen.scene.crowd import Crowd, PlacedCell
from miso_gen.scene.figures import DrawnCell
from miso_gen.scene.scene import Objects, Scene
from miso_gen.scene.shapes import Pose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.rng import Stream

TYPES = ("cell", "cell-bar", "cell-plus", "rect-red", "rect-green", "rect-blue", "tail-1", "tail-3", "tail-8", "none")
_TRIES = 1000
_OFFSETS = 1 << 20  #: branch of a cell's stream for its displacement

Offset = Annotated[float, Field(ge=0, le=0.5)]


@SCENARIOS.register("cell")
class OneCell(CellScenario):
    """One cell somewhere in the image; the label is its type.

    Types and backgrounds take turns, so that every type comes equally often on every background. Truth: 2 on the part that tells
    the type (border, bar, tails), 1 on the rest of the cell. A cell may leave the canvas in part; what is beyond the border is
    cut. A type that shows less than its least share (``tail_share`` of tail-1) is drawn again, with its place.

    ::

        canvas: {shape: [512, 512], channels: 3}
        scenarios:
          - {type: cell, images: 60, cells: [cell, cell-bar, {type: tail-1, tail_px: 12}], backgrounds: [black, rings]}

    Source: Tjoa & Guan, data set of ten classes.
    """

    evidence: ClassVar[Evidence] = "object"
    shortcuts: ClassVar[tuple[str, ...]] = ("cell size", "mean colour")
    classes: ClassVar[tuple[str, ...]] = TYPES

    cells: EachOwnCells = chosen(TYPES)
    """The types, by label."""

    offset: Offset = 0.33
    """Greatest displacement of the centre from the middle, along each axis, over the side of the canvas; whole pixels."""

    scale: PositiveFloat = 1.0
    """Factor of all lengths of the cell."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """See :class:`Scenario`."""
        return self.types

    @property
    def blank_labels(self) -> frozenset[int]:
        """See :class:`Scenario`."""
        return frozenset(label for label, cell in enumerate(self.cells) if not issubclass(cell.model, DrawnCell))

    def shelf(self, plan: ImagePlan) -> str:
        """See :class:`Scenario`: the background."""
        return self.background_of(plan).model.type_name

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        while True:
            for case in cases:
                for background in range(len(self.backgrounds)):
                    for label in range(len(self.cells)):
                        yield Variant(label, case, settings={"background": background})

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: A cell never shows its least share.
        """
        blank, background = self.backdrop(plan)
        drawn: dict[str, float | int | str] = {"background_type": background}
        canvas = Box(0, 0, plan.canvas.height, plan.canvas.width)
        for tries in range(_TRIES):
            stream = plan.stream("cell", tries, shared=False)
            cell = self.cells[plan.label].sample(stream)
            if not isinstance(cell, DrawnCell):
                return Scene(**blank, layers=(), drawn=drawn)
            row, column = self._centre(cell, stream, plan)
            pose = Pose.turned(row, column, cell.rotation_deg, self.scale)
            crowd = Crowd((PlacedCell(cell.figure(stream), pose),), self.edges, canvas)
            visible = crowd.cells[0].bounds.intersection(canvas)
            if visible.empty or not _shows(cell, crowd, canvas):
                continue
            numbers = {**cell.numbers, "row": row, "column": column}
            return Scene(
                **blank,
                layers=(crowd,),
                objects=(Objects.single(cell.type_name, visible, 1, **numbers),),
                drawn={**drawn, **numbers},
            )
        raise RecipeError(
            f"{plan.id}: {self.class_names[plan.label]} must show its least share of the canvas, got less in {_TRIES} tries. "
            "Use a smaller offset, a larger scale or a smaller share."
        )

    def _centre(self, cell: DrawnCell, stream: Stream, plan: ImagePlan) -> tuple[float, float]:
        """Return row and column of the cell's centre: whole pixels, drawn, cut towards 0, off the centre of the middle pixel."""
        height, width = plan.canvas.height, plan.canvas.width
        row, column = height // 2 + 0.5, width // 2 + 0.5
        first, second = (2.0 * stream.at(_OFFSETS + axis).uniform() - 1.0 for axis in range(2))
        if not cell.orbits:
            return row + int(first * self.offset * height), column + int(second * self.offset * width)
        across, down = int(first * self.offset * width), int(second * self.offset * height)
        turns = cell.rotation_deg * (1.0 / 360.0)
        cos, sin = float(cos_turns(turns)), float(sin_turns(turns))
        return row + (down * cos - across * sin), column + (across * cos + down * sin)


def _shows(cell: DrawnCell, crowd: Crowd, canvas: Box) -> bool:
    """Return whether the part that tells the type covers its least share of the image."""
    if cell.least_share is None:
        return True
    levels = crowd.cells[0].levels
    covered = sum(int(np.count_nonzero(levels[stamp.codes] == 2)) for _, stamp in crowd.stamps(canvas))
    share: float = getattr(cell, cell.least_share)
    return covered >= share * (canvas.height * canvas.width)
