"""Pictures of a recipe, without a build, and of an image in a store."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.geometry import LATTICE, Box, Spans
from miso_gen.recipe import SCENARIOS, plan_images
from miso_gen.render import render_box
from miso_gen.scene import make_scene
from miso_gen.scene.morphologies.bitmaps import Bitmaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miso_gen.imports.outlines import Outline
    from miso_gen.recipe import ImagePlan, Recipe, Scenario
    from miso_gen.render.pictures import Cell, Row
    from miso_gen.scene import Scene
    from miso_gen.store import Dataset, ImageView


_MOST_BESIDE = 4  #: labels whose images have their truth beside them; of more it lies below
_MOST_OUTLINES = 8  #: imported silhouettes in a row


def preview(
    recipe: Recipe, *, side: int = 256, pairs: int = 1, scenarios: Sequence[str] = (), dataset: Dataset | None = None
) -> bytes:
    """Return a contact sheet as PNG: imported silhouettes; for each scenario, images of every label with their truth.

    Args:
        recipe: The recipe.
        side: Longest side of a picture in pixels.
        pairs: Pairs (or, where a scenario has none, one image of each label) shown of each scenario.
        scenarios: Names of the scenarios to show; empty: all.
        dataset: A build of the recipe: its images are shown, none is rendered.

    Raises:
        UnknownNameError: A scenario is not in the recipe.
        RecipeError: A scene can't be made.
    """
    from miso_gen.render.pictures import contact_sheet, png

    names = [entry.name for entry in recipe.scenarios]
    for name in scenarios:
        if name not in names:
            raise UnknownNameError("scenario", name, names)
    rows: list[Row] = []
    plans = plan_images(recipe)
    for bitmaps in _bitmaps({plan.scenario: plan.spec for plan in plans if not scenarios or plan.scenario in scenarios}):
        rows += outline_sheet(bitmaps, side)
    for position, (name, group) in enumerate(groupby(plans, key=lambda plan: plan.scenario)):
        if not scenarios or name in scenarios:
            rows += _rows(list(group), side, pairs, position, dataset)
    canvas = recipe.canvas
    heading = f"{recipe.name} {recipe.version}  ·  {canvas.height} x {canvas.width} px"
    return png(contact_sheet(heading, rows, side))


def outline_sheet(bitmaps: Bitmaps, side: int) -> list[Row]:
    """Return rows of a contact sheet that show what became of pictures: each silhouette in black, its size, pieces and holes.

    Args:
        bitmaps: The silhouettes.
        side: Longest side of a picture in pixels.

    Raises:
        InputError: A silhouette is nowhere.
    """
    from miso_gen.render.pictures import Row

    names = dict.fromkeys((*bitmaps.names(), bitmaps.reference))
    cells = [_outline_cell(name, bitmaps.outline(name), side) for name in names]
    groups = [cells[first : first + _MOST_OUTLINES] for first in range(0, len(cells), _MOST_OUTLINES)]
    note = "What became of imported pictures."
    return [Row(bitmaps.type_name, "" if number else note, tuple(group), bare=True) for number, group in enumerate(groups)]


def _bitmaps(specs: Mapping[str, Mapping[str, Any]]) -> list[Bitmaps]:
    """Return the sets of imported silhouettes that scenarios show, each once."""
    found: dict[tuple[str, ...], Bitmaps] = {}
    for spec in specs.values():
        morphologies = spec.get("morphologies")
        if isinstance(morphologies, Mapping) and morphologies.get("type") == Bitmaps.type_name:
            shown = Bitmaps.from_spec(morphologies)
            found.setdefault((*shown.names(), *shown.contents()), shown)
    return list(found.values())


def _outline_cell(name: str, outline: Outline, side: int) -> Cell:
    from miso_gen.render.pictures import Cell, shrink

    rings = [LATTICE * ring.astype(np.int64) + 1 for ring in outline.rings]
    spans = Spans.of_polygon(rings, outline.height, outline.width)

    def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        inside = spans.mask(box)
        return (255 * (1 - inside))[None], np.zeros_like(inside)

    counts = f"{_counted(outline.pieces, 'piece')}, {_counted(outline.holes, 'hole')}"
    shrunk = shrink(read, Box(0, 0, outline.height, outline.width), side)
    return Cell(name, f"{outline.width} x {outline.height} px, {counts}", shrunk)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def view(image: ImageView, box: tuple[int, int, int, int] | None = None, *, side: int = 1024) -> bytes:
    """Return an image of a store with its truth laid over it, as PNG.

    Args:
        image: The image.
        box: (top, left, bottom, right) in pixels; None: all of it.
        side: Longest side of the picture; larger parts are shrunk by a whole number.

    Raises:
        InputError: The box is empty or reaches beyond the image.
    """
    from miso_gen.render.pictures import overlay_page, png, shrink

    _, height, width = image.shape
    whole = Box(0, 0, height, width)
    try:
        area = whole if box is None else Box(*box)
    except ValueError as error:
        raise InputError(f"{image.id}: {error}") from None
    if area.empty or area.intersection(whole) != area:
        raise InputError(
            f"{image.id}: box must lie on the {height} x {width} image and hold a pixel, got "
            f"{area.top},{area.left},{area.bottom},{area.right}. Give TOP,LEFT,BOTTOM,RIGHT."
        )
    facts = image.attributes
    heading = (
        f"{image.id}   {facts['label']} {facts['class_name']}   rows {area.top}-{area.bottom}, columns {area.left}-{area.right}"
    )
    return png(overlay_page(heading, shrink(image.read, area, side)))


def _rows(plans: list[ImagePlan], side: int, pairs: int, position: int, dataset: Dataset | None) -> list[Row]:
    """Return one row of a scenario, or one for each of its shelves."""
    scenario = SCENARIOS.get(plans[0].type).from_spec(plans[0].spec)
    shelves: dict[str | None, list[ImagePlan]] = {}
    for plan in plans:
        shelves.setdefault(scenario.shelf(plan), []).append(plan)
    return [_row(scenario, shelf, group, side, pairs, position, dataset) for shelf, group in shelves.items()]


def _row(
    scenario: Scenario, shelf: str | None, plans: list[ImagePlan], side: int, pairs: int, position: int, dataset: Dataset | None
) -> Row:
    from miso_gen.render.pictures import Row

    chosen = [plan for number in range(pairs) for plan in _sample(plans, 7 * position + 5 * number + 2)]
    name, kind = plans[0].scenario, scenario.type_name
    title = (name if name == kind else f"{name} ({kind})") + (f", {shelf}" if shelf else "")
    summary = (scenario.__doc__ or "").strip().partition("\n")[0]
    cells = tuple(_cell(scenario, plan, side, dataset) for plan in chosen)
    return Row(title, f"{summary}  Evidence: {scenario.reason}.", cells, stacked=len(cells) > pairs * _MOST_BESIDE)


def _sample(plans: list[ImagePlan], number: int) -> list[ImagePlan]:
    """Return the images of one pair by label, or one image of each label."""
    pairs = list(dict.fromkeys(plan.pair for plan in plans if plan.pair is not None))
    if pairs:
        pair = pairs[number % len(pairs)]
        return sorted((plan for plan in plans if plan.pair == pair), key=lambda plan: plan.label)
    labels = sorted({plan.label for plan in plans})
    groups = [[plan for plan in plans if plan.label == label] for label in labels]
    return [group[number % len(group)] for group in groups]


def _cell(scenario: Scenario, plan: ImagePlan, side: int, dataset: Dataset | None) -> Cell:
    from miso_gen.render.pictures import Cell, shrink

    if dataset is not None:
        stored = dataset[plan.id]
        caption = f"{stored.attributes['label']} {stored.attributes['class_name']}"
        return Cell(caption, plan.id, shrink(stored.read, Box(0, 0, *stored.shape[1:]), side))
    scene = make_scene(plan)
    label = plan.label if scene.label is None else scene.label
    return Cell(f"{label} {scenario.class_names[label]}", plan.id, shrink(_reader(scene), scene.box, side))


def _reader(scene: Scene):  # type: ignore[no-untyped-def]  # pictures.Read, imported on first use
    def read(box: Box) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
        part = render_box(scene, box)
        return part.image, part.truth

    return read
