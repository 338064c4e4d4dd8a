"""The recipes that the package brings, with the real plug-ins."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from miso_gen.errors import RecipeError
from miso_gen.recipe import Recipe, load_recipe, plan_images, recipe_files, recipe_json_schema

FILES = recipe_files()


@pytest.mark.parametrize("name", FILES)
def test_recipe_is_good(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name if not name.startswith("tutorial") else name.startswith(recipe.name)
    assert recipe.license
    jsonschema.Draft202012Validator(recipe_json_schema()).validate(yaml.safe_load(FILES[name].read_text("utf-8")))
    again = Recipe.from_dict(recipe.to_dict())
    assert again.digest == recipe.digest
    assert plan_images(again) == plan_images(recipe)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("tutorial")])
def test_tutorials_say_how_many_images_they_make(name: str) -> None:
    text = FILES[name].read_text("utf-8")
    assert text.startswith(f"# Tutorial {int(name.split('-')[1])}: ")
    assert "# Introduces: " in text
    plans = plan_images(load_recipe(name))
    assert f"Makes {len(plans)} images" in text
    assert sum(plan.canvas.height * plan.canvas.width for plan in plans) < 16e6


@pytest.mark.parametrize(("name", "side"), [("miso1", 3072), ("miso1-mini", 1024)])
def test_miso1(name: str, side: int) -> None:
    recipe = load_recipe(name)
    plan_images(recipe)
    start = time.perf_counter()
    plans = plan_images(recipe)
    assert time.perf_counter() - start < 2
    assert len(plans) == 1184
    counts = Counter((plan.scenario, plan.split, plan.label) for plan in plans)
    for scenario in ("evp", "dsp", "md", "evsp", "gsp", "fm"):
        for split in ("train", "test"):
            for label in (0, 1):
                assert counts[scenario, split, label] == (56 if scenario == "md" else 48)
    assert {(plan.canvas.height, plan.canvas.width, plan.canvas.dtype) for plan in plans} == {(side, side, "uint8")}
    assert len({plan.id for plan in plans}) == 1184
    low, high = (100, 300) if name == "miso1" else (33, 100)
    assert all(low <= plan.params["radius_px"] < high for plan in plans if plan.scenario == "gsp")


def test_both_sizes_have_the_same_images() -> None:
    full, mini = (plan_images(load_recipe(name)) for name in ("miso1", "miso1-mini"))
    keys = [[(p.id, p.label, p.pair, p.morphology, p.params.get("fuzz")) for p in plans] for plans in (full, mini)]
    assert keys[0] == keys[1]


def test_gigapixel_is_one_image() -> None:
    (plan,) = plan_images(load_recipe("gigapixel"))
    assert (plan.canvas.height, plan.canvas.width) == (32768, 32768)


def test_disjoint_silhouettes_with_the_reference_in_every_split_of_md() -> None:
    plans = plan_images(load_recipe("miso1-mini", ["defaults.morphologies.split=disjoint"]))
    shown = {
        (s, t): {p.morphology for p in plans if p.scenario == s and p.split == t}
        for s in ("evp", "md")
        for t in ("train", "test")
    }
    assert not shown["evp", "train"] & shown["evp", "test"]
    assert len(shown["evp", "train"] | shown["evp", "test"]) == 24
    assert shown["md", "train"] & shown["md", "test"] == {"canary"}


def test_unknown_silhouette() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("tutorial-01-first", {"scenarios.evp.morphologies.only": ["canari"]})
    text = str(caught.value)
    assert "scenarios[0].morphologies must be silhouettes, of bare-tree, " in text
    assert text.endswith(", got 'canari'. Did you mean 'canary'?")


def test_the_room_is_quick_to_import_and_needs_no_scene() -> None:
    heavy = "('numpy', 'zarr', 'dask', 'torch')"
    rooms = "('miso_gen.scene', 'miso_gen.geometry', 'miso_gen.render')"
    test = f"m.split('.')[0] in {heavy} or m.startswith({rooms})"
    code = f"import sys, miso_gen.recipe; print([m for m in sys.modules if {test}])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert out.stdout.strip() == "[]"
