"""Patches straight from a recipe: training data without a store, with the pixels that a store would have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from miso_gen.data.datasets import TablePatches
from miso_gen.data.grid import Patches, check_size, grid_patches
from miso_gen.data.patches import PatchTable, PixelMean, is_kept
from miso_gen.data.pixels import POOL_BYTES
from miso_gen.errors import InputError, UnknownNameError, listing
from miso_gen.geometry import Box
from miso_gen.recipe import SCENARIOS, Recipe, load_recipe, plan_images
from miso_gen.render import render_box
from miso_gen.rng import Stream
from miso_gen.scene import make_scene
from miso_gen.scene.textures import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.data.grid import Shift
    from miso_gen.data.items import Transform
    from miso_gen.data.patches import Background
    from miso_gen.data.pixels import Chunks, Picture
    from miso_gen.recipe import ImagePlan
    from miso_gen.render import Rendered
    from miso_gen.scene import Scene

TILE = 256  #: side of what is rendered and kept at a time, px
_SPARSE = 4  # images with fewer pixels of patches than a quarter of theirs are rendered patch by patch
_SCENES = 64  # that stay in memory; making one takes from microseconds to a second


class RecipeDataset(TablePatches):
    """Patches of the images of a recipe, rendered when they are asked for; a map-style data set.

    Nothing is stored, and images may be of any size. Items are those of :class:`~miso_gen.data.datasets.PatchDataset`, pixel by
    pixel and in the same order.

    ::

        train = RecipeDataset("miso1", split="train", scenario="gsp", size=224)
        wide = RecipeDataset("gigapixel.yaml", places="random", count=1000)

    Args:
        recipe: What :func:`~miso_gen.recipe.load_recipe` takes, or a recipe.
        split: Images of this split only.
        scenario: Images of this scenario only.
        ids: These images only.
        size: Side of a patch, px.
        shift: Whether a second grid, shifted by half a patch, follows the first.
        places: ``grid``, or ``random``: ``count`` patches of each image, anywhere, drawn once.
        count: Patches of an image, for random places.
        seed: Decides random places.
        background: ``keep``, or which patches are left out, see :func:`~miso_gen.data.patches.patch_table`: this renders every
            image once at the start. Shares and means in the table are nan where all are kept.
        min_share: Share of object that is too little.
        truth: Whether items have the truth.
        instances: Whether items have the ids of objects.
        transform: Gets and returns an item, image and truth together.
        stored: Whether images keep the canvas's type.
        pool_bytes: Memory of rendered tiles, in each process.

    Attributes:
        recipe: The recipe.

    Raises:
        InputError: An argument can't be.
        UnknownNameError: There is no such image, split or scenario.
        RecipeError: The recipe is wrong.
    """

    def __init__(
        self,
        recipe: Recipe | str | os.PathLike[str] | Mapping[str, Any],
        *,
        split: str | None = None,
        scenario: str | None = None,
        ids: Iterable[str] | None = None,
        size: int = 96,
        shift: Shift = "half",
        places: Literal["grid", "random"] = "grid",
        count: int | None = None,
        seed: int = 0,
        background: Background = "keep",
        min_share: float = 0.1,
        truth: bool = True,
        instances: bool = False,
        transform: Transform | None = None,
        stored: bool = False,
        pool_bytes: int = POOL_BYTES,
    ) -> None:
        check_size(size, shift)
        if places not in ("grid", "random"):
            raise InputError(f"places must be 'grid' or 'random', got {places!r}.")
        if (places == "random") != (count is not None) or (count is not None and count < 1):
            raise InputError(f"count must be 1 or more for random places, and left out for a grid, got {count} for {places!r}.")
        if not isinstance(background, PixelMean) and background not in ("drop", "keep"):
            raise InputError(f"background must be 'drop', 'keep' or a PixelMean, got {background!r}.")
        if not isinstance(recipe, Recipe):
            recipe = load_recipe(os.fspath(recipe) if isinstance(recipe, os.PathLike) else recipe)
        self.recipe = recipe
        plans = _chosen(self.recipe, split, scenario, ids)
        source = ScenePixels({plan.id: plan for plan in plans})
        table = _table(plans, source, size, shift, count, seed, background, min_share)
        area = sum(plan.canvas.height * plan.canvas.width for plan in plans)
        sparse = _SPARSE * len(table) * size * size < area
        super().__init__(
            table,
            source,
            truth=truth,
            instances=instances,
            transform=transform,
            stored=stored,
            pool_bytes=0 if sparse else pool_bytes,
        )


class ScenePixels:
    """Pixels of planned images; see :class:`~miso_gen.data.pixels.PixelSource`.

    Args:
        plans: The images by id.
    """

    def __init__(self, plans: Mapping[str, ImagePlan]) -> None:
        self.plans = plans
        self._scenes: dict[str, Scene] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"plans": self.plans, "_scenes": {}}

    def open(self, image_id: str, pictures: Sequence[Picture]) -> dict[Picture, Chunks]:
        """See :class:`~miso_gen.data.pixels.PixelSource`."""
        painter = _Painter(self.scene(image_id))
        return {picture: _PaintedChunks(painter, picture) for picture in pictures}

    def two_values(self, image_id: str) -> bool:
        """See :class:`~miso_gen.data.pixels.PixelSource`."""
        return False  # nobody knows before all is rendered

    def scene(self, image_id: str) -> Scene:
        """Return the scene of an image; the last ones are kept."""
        scene = self._scenes.pop(image_id, None)
        if scene is None:
            scene = make_scene(self.plans[image_id])
            if len(self._scenes) >= _SCENES:
                del self._scenes[next(iter(self._scenes))]
        self._scenes[image_id] = scene
        return scene


class _Painter:
    """Renders boxes of a scene; the last one is kept, as its truth is asked for after its image."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._last: tuple[Box, Rendered] | None = None

    def paint(self, box: Box) -> Rendered:
        if self._last is None or self._last[0] != box:
            self._last = box, render_box(self.scene, box)
        return self._last[1]


class _PaintedChunks:
    """A picture of a scene, tile by tile; see :class:`~miso_gen.data.pixels.Chunks`."""

    chunk = (TILE, TILE)
    files = 0

    def __init__(self, painter: _Painter, picture: Picture) -> None:
        scene = painter.scene
        self.painter, self.picture = painter, picture
        self.shape: tuple[int, ...] = (scene.height, scene.width)
        self.dtype = np.dtype(np.uint8)
        if picture == "image":
            self.shape, self.dtype = (scene.channels, *self.shape), scene.pixels.dtype
        elif picture == "instances":
            self.dtype = scene.instances or np.dtype(np.uint16)

    def decode(self, row: int, col: int, out: NDArray[Any]) -> bool:
        top, left = row * TILE, col * TILE
        box = Box(top, left, top + TILE, left + TILE).intersection(self.painter.scene.box)
        out[..., : box.height, : box.width] = self.read(box)
        return True

    def read(self, box: Box) -> NDArray[Any]:
        part = self.painter.paint(box)
        if self.picture == "image":
            return part.image
        if self.picture == "instances" and part.labels is not None:
            return array_of(part.labels)
        # Images of one object store no instances: these are where the truth is.
        return part.truth if self.picture == "truth" else (part.truth >= 1).astype(np.uint16)


def _chosen(recipe: Recipe, split: str | None, scenario: str | None, ids: Iterable[str] | None) -> tuple[ImagePlan, ...]:
    """Return the plans that all conditions leave, in the order of ``ids``, or by id as in a store."""
    plans = {plan.id: plan for plan in sorted(plan_images(recipe), key=lambda plan: plan.id)}
    for kind, name, known in (
        ("split", split, recipe.splits),
        ("scenario", scenario, tuple(entry.name for entry in recipe.scenarios)),
    ):
        if name is not None and name not in known:
            raise UnknownNameError(kind, name, known)
    names = tuple(plans if ids is None else ids)
    for name in names:
        if name not in plans:
            raise UnknownNameError("image", name, plans)
    found = [plans[name] for name in dict.fromkeys(names)]
    chosen = tuple(plan for plan in found if plan.split == (split or plan.split) and plan.scenario == (scenario or plan.scenario))
    if not chosen:
        known_splits, known_scenarios = listing(recipe.splits), listing(entry.name for entry in recipe.scenarios)
        raise InputError(
            f"split, scenario and ids must leave an image, got split {split!r}, scenario {scenario!r}. "
            f"Splits: {known_splits}; scenarios: {known_scenarios}."
        )
    return chosen


def _table(
    plans: Sequence[ImagePlan],
    source: ScenePixels,
    size: int,
    shift: Shift,
    count: int | None,
    seed: int,
    background: Background,
    min_share: float,
) -> PatchTable:
    columns: dict[str, list[NDArray[Any]]] = {}
    for number, plan in enumerate(plans):
        canvas = plan.canvas
        patches = grid_patches(canvas.height, canvas.width, size, shift) if count is None else _scattered(plan, size, count, seed)
        label = plan.label
        if _by_geometry(plan) and (drawn := source.scene(plan.id).label) is not None:
            label = drawn
        n = len(patches)
        own: dict[str, NDArray[Any]] = {name: getattr(patches, name) for name in ("grid", "i", "j", "row", "col")}
        own |= {"image": np.full(n, number, np.int64), "label": np.full(n, label, np.int64)}
        own |= {name: np.full(n, np.nan) for name in ("object_share", "evidence_share", "pixel_mean")}
        if background != "keep":
            own |= _measured(source.scene(plan.id), patches, size)
            kept = is_kept(own["object_share"], own["pixel_mean"], background, min_share)
            own = {name: values[kept] for name, values in own.items()}
        for name, values in own.items():
            columns.setdefault(name, []).append(values)
    return PatchTable(
        **{name: np.concatenate(parts) for name, parts in columns.items()},
        ids=tuple(plan.id for plan in plans),
        scenarios=tuple(plan.scenario for plan in plans),
        splits=tuple(plan.split for plan in plans),
        shapes=tuple((plan.canvas.height, plan.canvas.width) for plan in plans),
        size=int(size),
        shift=shift,
        positive=2,
    )


def _scattered(plan: ImagePlan, size: int, count: int, seed: int) -> Patches:
    """Return patches anywhere in an image, in the order of their draws."""
    height, width = plan.canvas.height, plan.canvas.width
    if size > min(height, width):
        raise InputError(f"size of patches must be at most the canvas's shorter side ({min(height, width)} px), got {size}.")
    stream = Stream(seed, "places", plan.id)
    rows, cols = stream.integers(0, height - size + 1, count), stream.integers(0, width - size + 1, count)
    numbers = np.arange(count, dtype=np.int64)
    return Patches(np.zeros(count, np.int64), np.zeros(count, np.int64), numbers, rows, cols)


def _by_geometry(plan: ImagePlan) -> bool:
    """Whether the scene may know the label better; scenarios of this package leave none to their geometry."""
    return not SCENARIOS.get(plan.type).__module__.startswith("miso_gen.")


def _measured(scene: Scene, patches: Patches, size: int) -> dict[str, NDArray[np.float64]]:
    """Return shares and means of patches."""
    area, top = float(size * size), scene.pixels.top * scene.channels
    out = np.empty((3, len(patches)))
    for place, (row, col) in enumerate(zip(patches.row.tolist(), patches.col.tolist(), strict=True)):
        part = render_box(scene, Box(row, col, row + size, col + size))
        total = int(scene.pixels.to_levels(part.image).sum(dtype=np.int64))
        ones, twos = int((part.truth >= 1).sum()), int((part.truth == 2).sum())
        out[:, place] = ones / area, twos / area, total / (area * top)
    if not scene.truth_2_known:
        out[1] = np.nan
    return dict(zip(("object_share", "evidence_share", "pixel_mean"), out, strict=True))
