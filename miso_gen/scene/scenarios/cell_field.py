"""Many cells in an image: a rule about them makes the label."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import AfterValidator

from miso_gen.errors import RecipeError
from miso_gen.geometry import Box
from miso_gen.recipe.parameters import OneOf, PositiveInt, chosen
from miso_gen.recipe.plugins import POINTS, RULES, SCENARIOS, Case, Evidence, PointProcess, Rule, Variant
from miso_gen.rng import Stream
from miso_gen.scene.celled import CellScenario, EachOwnCells
from miso_gen.scene.crowd import Crowd, PlacedCell
from miso_gen.scene.fields import FieldRule
from miso_gen.scene.figures import DrawnCell, Figure
from miso_gen.scene.interfaces import PairedScenario, ScatteredPoints
from miso_gen.scene.scene import Objects, Scene, instance_type
from miso_gen.scene.shapes import Pose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plan import ImagePlan
    from miso_gen.recipe.plugins import Cell
    from miso_gen.recipe.prototype import Prototype

TYPES = ("cell", "cell-bar", "cell-plus", "rect-red", "rect-green", "rect-blue", "tail-1", "tail-3", "tail-8")
_TRIES = 1000
_SAMPLE_PX = 80  #: reach in pixels of a cell that is drawn to measure its area


def _areas(value: tuple[int, int]) -> tuple[int, int]:
    if not 50 <= value[0] < value[1]:
        raise ValueError("two whole numbers from 50 on, the lower first")
    return value


@SCENARIOS.register("cell-field")
class CellField(CellScenario, PairedScenario):
    """Many cells that do not overlap; a rule about their types makes the label.

    Where the cells lie, how many there are and how large each is are drawn before the label and shared by a group of images,
    one of each label: the number of cells and the pixels they cover say nothing about it. Each cell is scaled until it covers
    the area that was drawn for its place, within some percent. No point of a cell is farther than ``reach_px`` from its centre (a
    cell that would be is drawn again), centres are at least twice as far from each other, and no nearer to the border: no cell
    touches another or is cut. Truth: 2 on the parts that tell the types that make the label true, 1 on all other cells and
    the rest of these.

    ::

        canvas: {shape: [1024, 1024], channels: 3}
        scenarios:
          - {type: cell-field, images: 12, rule: {type: present, cells: [tail-3]}}
    """

    evidence: ClassVar[Evidence] = "arrangement"
    shortcuts: ClassVar[tuple[str, ...]] = ("mean colour",)
    classes: ClassVar[tuple[str, ...]] = ("no-tail-3", "tail-3")

    rule: Annotated[Rule, OneOf(RULES)] = chosen({"type": "present", "cells": ["tail-3"]})
    """What makes the label."""

    cells: EachOwnCells = chosen(TYPES)
    """The types of cells."""

    points: Annotated[PointProcess, OneOf(POINTS)] = chosen({"type": "matern", "candidates_per_mpx": 60})
    """Where cells lie."""

    reach_px: PositiveInt = 72
    """How far a cell reaches from its centre at most; centres keep twice this distance."""

    area_px: Annotated[tuple[int, int], AfterValidator(_areas)] = (1000, 3000)
    """Least and greatest area of a cell; uniform."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """See :class:`Scenario`."""
        return self.field_rule.class_names(self.types)

    @property
    def reason(self) -> Evidence:
        """See :class:`Scenario`."""
        return self.field_rule.evidence({cell.model.type_name: cell.model for cell in self.cells})

    @property
    def blank_labels(self) -> frozenset[int]:
        """See :class:`Scenario`."""
        labels = range(len(self.class_names))
        return frozenset(label for label in labels if not self.field_rule.telling(label, self.types))

    @property
    def field_rule(self) -> FieldRule:
        """The rule."""
        if not isinstance(self.rule, FieldRule):
            raise TypeError(f"rule {self.rule.type_name!r} must be a FieldRule.")
        return self.rule

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """See :class:`Scenario`."""
        labels, group = range(len(self.class_names)), 0
        while True:
            for case in cases:
                group += 1
                settings = {"background": (group - 1) // len(cases) % len(self.backgrounds)}
                for label in labels:
                    yield Variant(label, case, pair=group, settings=settings)

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        super().check(plan)
        blank = next((cell.model.type_name for cell in self.cells if not issubclass(cell.model, DrawnCell)), None)
        if blank is not None:
            raise RecipeError(f"{plan.scenario}: cells must be of types that show something, got {blank!r}.")
        side = min(plan.canvas.height, plan.canvas.width)
        if 2 * self.reach_px >= side:
            raise RecipeError(
                f"{plan.scenario}: reach_px must be less than half of the canvas's shorter side ({side // 2}), "
                f"got {self.reach_px}. Use smaller cells or a larger canvas."
            )
        if self.area_px[1] > self.reach_px * self.reach_px:
            raise RecipeError(
                f"{plan.scenario}: area_px must be at most reach_px squared ({self.reach_px**2}), got {self.area_px[1]}. "
                "Use a larger reach_px or smaller areas."
            )
        self.field_rule.check(self.types)

    def scene(self, plan: ImagePlan) -> Scene:
        """See :class:`SceneScenario`.

        Raises:
            RecipeError: There are too few cells for the rule, or a type never stays within its reach.
        """
        blank, background = self.backdrop(plan)
        places, areas = self._places(plan)
        try:
            kinds = self.field_rule.assign(plan.label, self.types, len(places), plan.stream("types", shared=True))
            cast = [
                _grown(self.cells[kind], area, self.reach_px, (*plan.address("cell", shared=True), place))
                for place, (kind, area) in enumerate(zip(kinds.tolist(), areas.tolist(), strict=True))
            ]
        except RecipeError as error:
            raise RecipeError(f"{plan.id}: {error}") from None
        telling = self.field_rule.telling(plan.label, self.types)
        canvas = Box(0, 0, plan.canvas.height, plan.canvas.width)
        crowd = []
        for instance, ((row, column), grown) in enumerate(zip(places.tolist(), cast, strict=True), 1):
            pose = Pose.turned(row + 0.5, column + 0.5, grown.cell.rotation_deg, grown.scale)
            crowd.append(PlacedCell(grown.figure, pose, instance, grown.cell.type_name in telling))
        multi_hot = self.field_rule.multi_hot(plan.label)
        return Scene(
            **blank,
            layers=(Crowd(tuple(crowd), self.edges, canvas),),
            objects=tuple(self._objects(crowd, cast, areas, canvas)),
            instances=instance_type(len(crowd)),
            drawn={
                "background_type": background,
                "cells": len(crowd),
                "cell_area_px": int(areas.sum()),
                **({} if multi_hot is None else {"multi_hot": str(list(multi_hot))}),
            },
        )

    def _places(self, plan: ImagePlan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the centre pixels of the cells, (n, 2), and their areas, (n,); equal for all images of a group."""
        if not isinstance(self.points, ScatteredPoints):
            raise TypeError(f"points {self.points.type_name!r} must be ScatteredPoints.")
        reach = self.reach_px
        height, width = plan.canvas.height - 2 * reach, plan.canvas.width - 2 * reach
        places = self.points.scatter(height, width, 2 * reach + 1, *plan.address("points", shared=True)) + reach
        low, high = self.area_px
        return places, plan.stream("areas", shared=True).integers(low, high + 1, len(places))

    def _objects(
        self, crowd: Sequence[PlacedCell], cast: Sequence[GrownCell], areas: NDArray[np.int64], canvas: Box
    ) -> Iterator[Objects]:
        for name in self.types:
            mine = [number for number, grown in enumerate(cast) if grown.cell.type_name == name]
            if not mine:
                continue
            boxes = [crowd[number].bounds.intersection(canvas) for number in mine]
            columns = [_row(crowd[number], cast[number], int(areas[number])) for number in mine]
            yield Objects(
                name,
                np.array(mine, np.int64) + 1,
                np.array([(box.top, box.left, box.bottom, box.right) for box in boxes], np.int64),
                {key: np.array([column[key] for column in columns]) for key in columns[0]},
            )


class GrownCell(NamedTuple):
    """A cell, scaled to an area."""

    cell: DrawnCell
    figure: Figure
    scale: float


def _row(placed: PlacedCell, grown: GrownCell, area: int) -> dict[str, float]:
    """Return what the object table says of a cell."""
    place = {"row": placed.pose.row, "column": placed.pose.column, "scale": grown.scale, "area_px": float(area)}
    return {**place, **grown.cell.numbers}


@lru_cache(maxsize=1024)
def _grown(prototype: Prototype[Cell], area: int, reach: int, address: tuple[str | int, ...]) -> GrownCell:
    """Return the cell of a place, scaled to its area; kept for the next image of the group.

    Raises:
        RecipeError: Cells of the type reach too far for their area.
    """
    name = prototype.model.type_name
    for tries in range(_TRIES):
        stream = Stream(*address, name, tries)
        cell = prototype.sample(stream)
        assert isinstance(cell, DrawnCell)
        figure = cell.figure(stream)
        own = figure.area(_SAMPLE_PX / figure.reach)
        if own == 0.0:
            continue
        scale = sqrt(area / own)
        if ceil(figure.reach * scale) < reach:
            return GrownCell(cell, figure, scale)
    raise RecipeError(
        f"reach_px must leave room for {name!r} at an area of {area} px, got {reach}, beyond which it reached in {_TRIES} tries. "
        "Use a larger reach_px or smaller areas."
    )
