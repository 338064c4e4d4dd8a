"""Which images of a recipe are measured, and what the baseline is given of them."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.literal import Given
from miso_gen.geometry import Box
from miso_gen.recipe import ImagePlan, Recipe, load_recipe, plan_images
from miso_gen.recipe.plugins import SCENARIOS
from miso_gen.scene import make_scene
from miso_gen.scene.interfaces import silhouette
from miso_gen.store import open_target
from miso_gen.store.memo import label_blocks
from miso_gen.work import Site, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = Path(__file__).parent.parent / "recipes"
ORDER = ("evp", "dsp", "md", "evsp", "gsp", "fm")


@dataclass(frozen=True)
class Sampled:
    """One image that is measured.

    Attributes:
        plan: The image.
        weight: How many images of its scenario and split it stands for.
        kind: What these have in common: label, fuzz, and the branch of the scenario.
    """

    plan: ImagePlan
    weight: float
    kind: str


def recipe_path(name: str) -> Path:
    """Return the file of a recipe, by path or by name."""
    return Path(name) if Path(name).is_file() else RECIPES / f"{name}.yaml"


@cache
def _planned(name: str) -> tuple[Recipe, tuple[ImagePlan, ...]]:
    recipe = load_recipe(recipe_path(name))
    return recipe, plan_images(recipe)


def plans_of(recipe: str, scenario: str, split: str = "test") -> list[ImagePlan]:
    """Return all images of a scenario in a split."""
    return [plan for plan in _planned(recipe)[1] if plan.scenario == scenario and plan.split == split]


def sample(recipe: str, scenario: str, each: int | None) -> list[Sampled]:
    """Return some images of every kind of a scenario's test split, in index order.

    Args:
        recipe: Name or path.
        scenario: Name of the scenario.
        each: At most so many images of a kind, evenly spread over its silhouettes; None takes all.
    """
    kinds: dict[str, list[ImagePlan]] = defaultdict(list)
    for plan in plans_of(recipe, scenario):
        kinds[_kind(plan)].append(plan)
    chosen = []
    for kind, plans in kinds.items():
        count = len(plans) if each is None else min(each, len(plans))
        places = [(2 * i + 1) * len(plans) // (2 * count) for i in range(count)]
        chosen += [Sampled(plans[place], len(plans) / count, kind) for place in places]
    return sorted(chosen, key=lambda one: one.plan.id)


def _kind(plan: ImagePlan) -> str:
    parts = [f"label {plan.label}", "fuzzy" if plan.spec["fuzz"] else "simple"]
    deformation = _deformation(plan)
    if deformation is not None:
        parts.append(" ".join((deformation["type"], deformation.get("axis", ""))).strip())
    elif plan.type == "md":
        parts.append("reference" if plan.label == 0 else "other")
    if plan.type == "fm" and plan.label == 1:
        parts.append(str(make_scene(plan).drawn["tiling"]))
    return ", ".join(parts)


def _deformation(plan: ImagePlan) -> dict[str, Any] | None:
    index = plan.settings.get("deformation")
    return plan.spec["deformations"][index] if isinstance(index, int) else None


def given(plan: ImagePlan) -> Given:
    """Return what the literal baseline starts from: the same silhouette, places and numbers as ours."""
    scenario: Any = SCENARIOS.get(plan.type).from_spec(plan.spec)
    height, width = plan.canvas.height, plan.canvas.width
    assert plan.morphology is not None
    shape = silhouette(scenario.outlines(), plan.morphology, height, width)
    mask = np.zeros((height, width))
    mask[...] = shape.spans.mask(Box(0, 0, height, width))
    extra: dict[str, Any] = {}
    if plan.type == "evsp":
        address = plan.address("points", shared=True)
        extra["centres"] = scenario.points.scatter(height, width, 2 * scenario.radius_px, *address)
        extra["radius"] = scenario.radius_px
    if plan.type == "gsp" and plan.label == 1:
        drawn = make_scene(plan).drawn
        extra["disc"] = (drawn["disc_row"], drawn["disc_column"], scenario.radius_px)
    deformation = _deformation(plan)
    if deformation is not None:
        extra["deformation"] = deformation
    return Given(mask, plan.label, plan.spec["fuzz"], int(plan.number), extra)


def site(folder: Path, recipe: str) -> Site:
    """Return where images are built for a measurement."""
    loaded = _planned(recipe)[0]
    return Site(open_target(folder), loaded.digest, fingerprint(), loaded.codec)


def caches() -> Iterator[Any]:
    """Yield what a process keeps for later images: silhouettes, deformations, discs, tiles, and encoded blocks of labels."""
    yield label_blocks
    for name, module in list(sys.modules.items()):
        if name.startswith("miso_gen.scene"):
            for value in vars(module).values():
                if hasattr(value, "cache_parameters") and value.__module__ == name and value.cache_parameters()["maxsize"]:
                    yield value
