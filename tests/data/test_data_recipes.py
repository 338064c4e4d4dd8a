"""Patches rendered from a recipe are those of the store that it builds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from building import SMALL, small

from miso_gen.build import build
from miso_gen.data import PatchDataset, PatchLoader, PixelMean, RecipeDataset
from miso_gen.errors import InputError, UnknownNameError
from miso_gen.recipe import SCENARIOS, Recipe, load_recipe, plan_images
from miso_gen.render import render
from miso_gen.scene import make_scene
from miso_gen.store import open_dataset

SIZE = 48

COLOURED: dict[str, Any] = {
    "schema": 1,
    "name": "coloured",
    "seed": 3,
    "canvas": {"shape": [300, 330], "channels": 3, "dtype": "uint16"},
    "splits": ["train"],
    "scenarios": [
        {
            "type": "cell-field",
            "images": 4,
            "reach_px": 20,
            "area_px": [100, 300],
            "points": {"type": "matern", "candidates_per_mpx": 900},
            "backgrounds": ["rings", "color-field"],
        },
        {"type": "gsp", "morphologies": {"type": "builtin", "only": ["key"]}, "radius_px": 30, "window_px": 4},
    ],
}
TISSUE: dict[str, Any] = {
    "schema": 1,
    "name": "tissue",
    "canvas": {"shape": [400, 420]},
    "splits": ["train"],
    "scenarios": [
        {"type": "tissue", "tissue": {"type": "simulated", "images": 4, "gland_radius_px": [50, 70], "nest_radius_px": [50, 80]}}
    ],
}


def recipes() -> dict[str, Recipe]:
    """Return what the pixels are compared on."""
    return {"small": small(), "coloured": load_recipe(COLOURED), "tissue": load_recipe(TISSUE)}


@pytest.fixture(scope="module", params=["small", "coloured", "tissue"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Any]:
    """A recipe, and its store."""
    recipe = recipes()[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    assert not build(recipe, folder, workers=1, chunk=128).failures
    return recipe, open_dataset(folder)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Compare batches, bit by bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]


@pytest.mark.parametrize("stored", [False, True])
def test_pixels_are_those_of_the_store(pair, stored):
    recipe, dataset = pair
    kept = {"size": SIZE, "background": "keep", "truth": True, "instances": True, "stored": stored}
    rendered, read = RecipeDataset(recipe, **kept), PatchDataset(dataset, **kept)
    assert rendered.table.ids == read.table.ids
    for name in ("image", "grid", "i", "j", "row", "col", "label"):
        np.testing.assert_array_equal(getattr(rendered.table, name), getattr(read.table, name))
    order = np.random.default_rng(1).permutation(len(read))[:600]
    for start in range(0, len(order), 60):
        assert_same(rendered.batch(order[start : start + 60]), read.batch(order[start : start + 60]))


def test_filters_keep_the_same_patches(pair):
    recipe, dataset = pair
    for background in ("drop", PixelMean(0.5, 0.05)):
        arguments = {"split": "train", "size": 64, "shift": "none", "background": background}
        rendered, read = RecipeDataset(recipe, **arguments), PatchDataset(dataset, **arguments)
        assert len(read) > 0
        for name in ("image", "row", "col", "label", "object_share", "evidence_share", "pixel_mean"):
            np.testing.assert_array_equal(getattr(rendered.table, name), getattr(read.table, name))


def test_loaders_load_the_same():
    recipe = small(scenarios=["gsp"], splits=["train"])
    rendered = RecipeDataset(recipe, size=SIZE)
    alone = list(PatchLoader(rendered, batch=30, seed=1))
    for one, other in zip(PatchLoader(rendered, batch=30, seed=1, workers=1, timeout=120), alone, strict=True):
        assert_same(one, other)
    assert sum(len(batch["label"]) for batch in alone) == len(rendered)


@pytest.mark.parametrize("pool_bytes", [0, 70_000, 2**28])
def test_random_places_are_anywhere(pool_bytes):
    recipe = small(scenarios=["dsp"], splits=["train"])
    patches = RecipeDataset(recipe, size=SIZE, places="random", count=40, seed=5, pool_bytes=pool_bytes)
    assert len(patches) == 40 * 8
    assert np.bincount(patches.table.image).tolist() == [40] * 8
    assert len(set(patches.table.row % SIZE)) > 20
    assert patches.table.row.min() >= 0
    assert patches.table.row.max() <= 300 - SIZE
    assert patches.table.col.max() <= 280 - SIZE
    whole = {name: render(recipe, name) for name in patches.table.ids}
    for item in patches:
        image, truth = whole[item["image_id"]]
        rows, cols = slice(item["row"], item["row"] + SIZE), slice(item["col"], item["col"] + SIZE)
        np.testing.assert_array_equal(item["image"].numpy(), (image[:, rows, cols] / 255.0).astype(np.float32))
        np.testing.assert_array_equal(item["truth"].numpy(), truth[rows, cols])
    again = RecipeDataset(recipe, size=SIZE, places="random", count=40, seed=5)
    np.testing.assert_array_equal(again.table.row, patches.table.row)
    other = RecipeDataset(recipe, size=SIZE, places="random", count=40, seed=6)
    assert (other.table.row != patches.table.row).any()


def test_canvases_may_be_wider_than_memory():
    """A few patches of a gigapixel: nothing of the size of the image is made."""
    scenario = {"type": "evp", "morphologies": {"type": "builtin", "only": ["canary"]}}
    data = {"schema": 1, "name": "wide", "canvas": {"shape": [30_000, 40_000]}, "splits": ["train"], "scenarios": [scenario]}
    recipe = load_recipe(data)
    patches = RecipeDataset(recipe, size=96, places="random", count=5)
    assert patches.pool.capacity == 0
    for item in patches:
        box = (item["row"], item["col"], item["row"] + 96, item["col"] + 96)
        image, truth = render(recipe, item["image_id"], box)
        np.testing.assert_array_equal(item["image"].numpy(), (image / 255.0).astype(np.float32))
        np.testing.assert_array_equal(item["truth"].numpy(), truth)


def test_what_a_recipe_may_be(tmp_path):
    data = {**SMALL, "scenarios": [{"type": "evp"}]}
    path = tmp_path / "recipe.yaml"
    path.write_text(str(data), "utf-8")
    expected = RecipeDataset(load_recipe(data), size=SIZE)[7]
    for given in (data, path, str(path)):
        assert_same(RecipeDataset(given, size=SIZE)[7], expected)


def test_labels_of_shipped_scenarios_are_those_of_their_plans():
    """Why the labels of a table need no scenes."""
    for recipe in recipes().values():
        for plan in plan_images(recipe):
            assert SCENARIOS.get(plan.type).__module__.startswith("miso_gen.")
            assert make_scene(plan).label is None


def test_arguments_are_checked():
    recipe = small(scenarios=["evp"])
    for arguments, text in (
        ({"places": "everywhere"}, "places must be 'grid' or 'random'"),
        ({"places": "random"}, "count must be 1 or more for random places"),
        ({"count": 3}, "left out for a grid, got 3"),
        ({"background": "none"}, "background must be"),
        ({"size": 400, "places": "random", "count": 1}, "size of patches must be at most the canvas's shorter side"),
        ({"split": "test", "ids": ["evp/train/0001"]}, "must leave an image"),
    ):
        with pytest.raises(InputError, match=text):
            RecipeDataset(recipe, **arguments)
    for arguments in ({"split": "tests"}, {"scenario": "evq"}, {"ids": ["evp/train/0000"]}):
        with pytest.raises(UnknownNameError):
            RecipeDataset(recipe, **arguments)
