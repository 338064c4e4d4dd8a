"""Simulated tissue: glands against nests, of the same cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count as numbers_from
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from miso_gen.errors import RecipeError
from miso_gen.recipe.counts import SplitCounts, images_of
from miso_gen.recipe.parameters import NonNegativeFloat, PositiveFloat, PositiveInt, Probability, UnitInterval, Whole
from miso_gen.recipe.plugins import TISSUES, Case, Variant
from miso_gen.rng import Stream
from miso_gen.scene.histology import Acini, Ground, Nests, Pattern, Stroma, filled, smooth
from miso_gen.scene.interfaces import CellularTissue, TissueCells
from miso_gen.scene.nuclei import Form, Nuclei, half_axes
from miso_gen.scene.outlines import Outlines
from miso_gen.scene.packing import pushed_apart
from miso_gen.scene.places import Places
from miso_gen.scene.scene import Objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plan import ImagePlan

    Floats = NDArray[np.float64]

KINDS = ("tumour", "spindle", "lymphocyte")
PATTERNS = ("glandular", "nests")
_TRIES = 24
_SPACING = 0.82  #: least distance of the centres of structures, in sums of their radii
_FLOW_SPREAD = 0.16  #: standard deviation of the directions of the flow, in turns
_CLEARANCE_PX = 1.5
_PHASES, _ROUNDS = 3, 6  #: of pushing cells apart; those that were pushed into a lumen go back after each phase
_MOST_COVER = 0.4
_FORMS = {
    "tumour": Form(bend=0.3, curl=0.2, taper=0.16, blunt=(-0.06, 0.26)),
    "spindle": Form(bend=0.9, curl=0.5, taper=0.15, blunt=(-0.3, -0.3)),
    "lymphocyte": Form(bend=0.1, curl=0.1, taper=0.06, blunt=(-0.06, 0.06)),
}


def _rising(value: tuple[Any, Any]) -> tuple[Any, Any]:
    if not value[0] <= value[1]:
        raise PydanticCustomError("expected", "two numbers, none less than the one before")
    return value


_Area = Annotated[float, Field(ge=30)]
_Eccentricity = Annotated[float, Field(ge=0, le=0.99)]
_Layers = Annotated[int, Field(ge=1, le=4), Whole]
Between = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_rising)]
Shares = Annotated[tuple[UnitInterval, UnitInterval], AfterValidator(_rising)]
Areas = Annotated[tuple[_Area, _Area], AfterValidator(_rising)]
Eccentricities = Annotated[tuple[_Eccentricity, _Eccentricity], AfterValidator(_rising)]
Layers = Annotated[tuple[_Layers, _Layers], AfterValidator(_rising)]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the cells of an image lie, before they have their sizes.

    Attributes:
        tumour: Places of the tumour cells; ``outline`` is the number of their structure, from 0.
        stroma: Places of the other cells.
        outlines: The structures.
        void_share: Radius of the part of each where no tumour cell lies, in radii of the outline.
    """

    tumour: Places
    stroma: Places
    outlines: Outlines
    void_share: float

    def empty(self, structure: NDArray[np.int64], y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Return whether points lie in the empty parts of their structures, numbered from 0."""
        distance, radius, _ = self.outlines.seen(structure, y, x)
        return distance < self.void_share * radius


@TISSUES.register("simulated")
class Simulated(CellularTissue):
    """Cells of two patterns of carcinoma: glands around lumina (label 0) and solid nests with a palisade (label 1).

    Both lie in a stroma of spindle cells, which follow a flow and the outlines of the structures, and lymphocytes. The images
    of a pair show the same cells: as many of each kind, the k-th of the same area and form; only places and directions differ.
    So neither numbers nor sizes nor the share of cells in the pixels tell the label. Cells keep about 1.5 px apart; the border
    cuts some. Lengths fit 0.5 um a pixel. An odd number of images leaves one without a partner. Source: MISO (its tissue images,
    which these resemble).

    ::

        tissue: {type: simulated, images: {train: 148, test: 36}}
    """

    images: PositiveInt | SplitCounts
    """Images in every split, or a number for each split; label 0 and 1 in turn."""

    cells_per_mpx: Between = (800.0, 950.0)
    """Least and greatest number of cells on a million pixels; uniform, one number for a pair."""

    tumour_share: Shares = (0.54, 0.62)
    """Share of the tumour cells among all; as above."""

    lymphocyte_share: Shares = (0.05, 0.12)
    """Share of the lymphocytes among all; as above."""

    tumour_area_px: Areas = (170.0, 310.0)
    """Least and greatest area of a tumour nucleus; uniform."""

    spindle_area_px: Areas = (115.0, 205.0)
    """Area of a spindle nucleus."""

    lymphocyte_area_px: Areas = (80.0, 125.0)
    """Area of a lymphocyte's nucleus."""

    tumour_eccentricity: Eccentricities = (0.62, 0.9)
    """Least and greatest eccentricity of a tumour nucleus, sqrt(1 - (short axis / long axis)^2); uniform."""

    spindle_eccentricity: Eccentricities = (0.965, 0.988)
    """Eccentricity of a spindle nucleus."""

    lymphocyte_eccentricity: Eccentricities = (0.1, 0.55)
    """Eccentricity of a lymphocyte's nucleus."""

    gland_radius_px: Between = (56.0, 125.0)
    """Least and greatest radius of a gland, before lobes are added and neighbours limit it; uniform."""

    nest_radius_px: Between = (75.0, 200.0)
    """Radius of a nest; as above."""

    gap_px: PositiveFloat = 11.0
    """Way between two structures, at least about this; half of it is kept free between a structure and the stroma."""

    column_px: PositiveFloat = 16.5
    """Distance of columnar nuclei along the border of a structure."""

    sheet_px: PositiveFloat = 28.0
    """Distance of nuclei inside a nest."""

    layers: Layers = (1, 2)
    """Least and greatest number of rows of nuclei around a lumen; small glands have one."""

    lumen_share: Annotated[float, Field(ge=0, le=0.6)] = 0.3
    """Radius of the part of a gland where no nucleus has its centre, in radii of the gland."""

    pearl_chance: Probability = 0.35
    """Chance that a nest with room for it holds a keratin pearl."""

    pearl_px: PositiveFloat = 11.0
    """Radius of the empty centre of a pearl."""

    spread_deg: NonNegativeFloat = 9.0
    """Standard deviation of the direction of a tumour nucleus in a row; half as much again in the stroma."""

    flow_px: PositiveFloat = 260.0
    """Scale on which the flow of the stroma turns."""

    follow_px: PositiveFloat = 70.0
    """Distance from a structure at which its outline begins to turn the flow."""

    cluster_px: PositiveFloat = 110.0
    """Scale on which lymphocytes gather."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """See :class:`Tissue`."""
        return PATTERNS

    def images_in(self, split: str) -> int:
        """See :class:`Tissue`."""
        return images_of(self.images, split, self.type_name)

    def variants(self, cases: Sequence[Case], samples: Sequence[str]) -> Iterator[Variant]:
        """Yield pairs without end, label 0 then 1; the cases take turns."""
        for pair in numbers_from(1):
            for label in range(len(PATTERNS)):
                yield Variant(label, cases[(pair - 1) % len(cases)], pair=pair)

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Tissue`."""
        shares = self.tumour_share[1] + self.lymphocyte_share[1]
        if shares > 1.0:
            raise RecipeError(
                f"{plan.scenario}: tumour_share and lymphocyte_share must be at most 1 together, got {shares:g}. "
                "Lower one of them."
            )
        if self.counts(plan)[0] < 1:
            raise RecipeError(
                f"{plan.scenario}: an image must have a tumour cell, got {self.cells_per_mpx[0]:g} to {self.cells_per_mpx[1]:g} "
                f"cells_per_mpx on {plan.canvas.height} x {plan.canvas.width} px. Use more cells or a larger canvas."
            )
        cover = self.cells_per_mpx[1] * max(self.tumour_area_px[1], self.spindle_area_px[1], self.lymphocyte_area_px[1]) / 1e6
        if cover > _MOST_COVER:
            raise RecipeError(
                f"{plan.scenario}: nuclei must cover at most {_MOST_COVER} of the canvas, got up to {cover:.2g}. "
                "Use fewer cells_per_mpx or smaller areas."
            )

    def cells(self, plan: ImagePlan) -> TissueCells:
        """See :class:`CellularTissue`."""
        counts = self.counts(plan)
        nuclei, structure, structures = self.nuclei(plan)
        runs = nuclei.runs(plan.canvas.height, plan.canvas.width)
        index = runs.objects - 1
        halves = nuclei.turns[index] * 2.0
        params = {
            "row": nuclei.row[index],
            "column": nuclei.column[index],
            "area_px": runs.areas.astype(np.float64),
            "major_px": 2.0 * nuclei.major[index],
            "minor_px": 2.0 * nuclei.minor[index],
            "rotation_deg": (halves - np.floor(halves)) * 180.0,
            "structure": structure[index].astype(np.float64),
        }
        kinds = np.searchsorted(np.cumsum(counts), index, side="right")
        shown = [kinds == number for number in range(len(KINDS))]
        objects = tuple(
            Objects(kind, runs.objects[mine], runs.boxes[mine], {name: values[mine] for name, values in params.items()})
            for kind, mine in zip(KINDS, shown, strict=True)
        )
        tumour, spindle, lymphocytes = (int(np.count_nonzero(mine)) for mine in shown)
        drawn = {
            "cells": len(index),
            "tumour_cells": tumour,
            "spindle_cells": spindle,
            "lymphocytes": lymphocytes,
            "structures": structures,
            "cell_area_px": int(runs.areas.sum()),
        }
        return TissueCells(runs, runs.objects[shown[0]], objects, drawn)

    def counts(self, plan: ImagePlan) -> tuple[int, int, int]:
        """Return the numbers of tumour cells, spindle cells and lymphocytes; equal for the images of a pair."""
        ranges = (self.cells_per_mpx, self.tumour_share, self.lymphocyte_share)
        draws = plan.stream("counts", shared=True).uniforms(len(ranges)).tolist()
        per_mpx, tumour_share, lymphocyte_share = (low + (high - low) * u for u, (low, high) in zip(draws, ranges, strict=True))
        total = int(per_mpx * (plan.canvas.height * plan.canvas.width) / 1e6 + 0.5)
        tumour = int(total * tumour_share + 0.5)
        lymphocytes = min(int(total * lymphocyte_share + 0.5), total - tumour)
        return tumour, total - tumour - lymphocytes, lymphocytes

    def nuclei(self, plan: ImagePlan) -> tuple[Nuclei, NDArray[np.int64], int]:
        """Return the nuclei of an image, the structure of each (0: none), and the number of structures.

        Tumour cells come first, lymphocytes last.

        Raises:
            RecipeError: There is no room for the cells.
        """
        height, width = plan.canvas.height, plan.canvas.width
        counts = self.counts(plan)
        layout = self.layout(plan)
        tumour, spindle, lymphocytes = (self._drawn(plan, kind, count) for kind, count in zip(KINDS, counts, strict=True))
        inner = layout.tumour.chosen(_fitting(layout.tumour, tumour, plan.stream("fitting", shared=True)))
        outer = self._mixed(plan, layout.stroma, counts[2])
        nuclei = _laid(tumour, inner).joined(_laid(spindle.joined(lymphocytes), outer))
        mobility = np.concatenate([np.full(len(inner), 1.0), np.full(len(outer), 2.0)])
        for _ in range(_PHASES):
            moved = pushed_apart(nuclei, height, width, gap_px=_CLEARANCE_PX, rounds=_ROUNDS, mobility=mobility)
            astray = layout.empty(inner.outline, moved.row[: len(inner)], moved.column[: len(inner)])
            back = np.concatenate([astray, np.zeros(len(outer), np.bool_)])
            nuclei = moved.moved(np.where(back, nuclei.row, moved.row), np.where(back, nuclei.column, moved.column))
        return nuclei, np.concatenate([inner.outline + 1, np.zeros(len(outer), np.int64)]), len(layout.outlines)

    def layout(self, plan: ImagePlan) -> Layout:
        """Return where the cells of an image lie.

        Raises:
            RecipeError: There is no room for the cells.
        """
        height, width = plan.canvas.height, plan.canvas.width
        tumour, *others = self.counts(plan)
        major, minor = half_axes(self.tumour_area_px, self.tumour_eccentricity)
        ground = Ground(height, width, major, minor, self.column_px, self.sheet_px, self.spread_deg)
        pattern: Pattern = (
            Nests(ground, self.pearl_chance, self.pearl_px) if plan.label else Acini(ground, self.lumen_share, self.layers)
        )
        draws = plan.stream("flow", shared=True)
        flow = smooth(draws, height, width, self.flow_px).mapped(_FLOW_SPREAD, draws.at(0).uniform())
        stroma = Stroma(
            ground, flow, 0.5 * self.gap_px, self.follow_px, *half_axes(self.spindle_area_px, self.spindle_eccentricity)
        )
        for tries in range(_TRIES):
            address = plan.address("structures", PATTERNS[plan.label], tries, shared=True)
            outlines = Outlines.drawn(
                Stream(*address, "outlines"),
                height,
                width,
                radius_px=self.nest_radius_px if plan.label else self.gland_radius_px,
                gap_px=self.gap_px,
                spacing=_SPACING,
                stretch=pattern.stretch,
                lobes=pattern.lobes,
            )
            inner = filled(pattern, outlines, Stream(*address, "places"), tumour)
            if inner is None:
                continue
            taken, number = np.unique(inner.outline, return_inverse=True)
            outlines = outlines.chosen(taken)
            outer = stroma.places(outlines, Stream(*address, "stroma"), sum(others))
            if outer is not None:
                return Layout(replace(inner, outline=number), outer, outlines, pattern.void_share)
        raise RecipeError(
            f"{plan.id}: the canvas must have room for the cells, got {tumour + sum(others)} on {height} x {width} px "
            f"in {_TRIES} tries. Use fewer cells_per_mpx, shorter distances, another tumour_share, or a larger canvas."
        )

    def _drawn(self, plan: ImagePlan, kind: str, count: int) -> Nuclei:
        """Return nuclei of a kind, all at the origin; equal for the images of a pair."""
        areas, eccentricities = getattr(self, f"{kind}_area_px"), getattr(self, f"{kind}_eccentricity")
        return Nuclei.drawn(plan.stream("nuclei", kind, shared=True), count, areas, eccentricities, _FORMS[kind])

    def _mixed(self, plan: ImagePlan, places: Places, lymphocytes: int) -> Places:
        """Return the places of the stroma, those of the lymphocytes last: where a smooth field is high, more or less."""
        stream = plan.stream("lymphocytes", shared=True)
        field = smooth(stream, plan.canvas.height, plan.canvas.width, self.cluster_px)
        height = field.at(places.y, places.x, corner=0.0, margin=0) + 0.7 * stream.at(0).normals(len(places))
        order = np.argsort(height, kind="stable")
        split = len(places) - lymphocytes
        return places.chosen(np.concatenate([np.sort(order[:split]), np.sort(order[split:])]))


def _fitting(places: Places, nuclei: Nuclei, stream: Stream) -> NDArray[np.intp]:
    """Return the place of each nucleus: flat ones tend to where the zone asks for them."""
    flatness = np.argsort(-nuclei.minor / nuclei.major, kind="stable")
    order = np.argsort(places.zone + 1.1 * stream.uniforms(len(places)), kind="stable")
    out = np.empty(len(places), np.intp)
    out[flatness] = order
    return out


def _laid(nuclei: Nuclei, places: Places) -> Nuclei:
    """Return nuclei at places, the first at the first."""
    return nuclei.moved(places.y, places.x, places.turns)
