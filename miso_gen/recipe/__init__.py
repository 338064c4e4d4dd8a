"""Recipes: YAML -> :class:`Recipe` -> plan.

The grammar, the values that may be drawn, overrides, digests, the JSON schema, and the abstract plug-ins. No arrays.
"""

from __future__ import annotations

from miso_gen.recipe.entry import ScenarioEntry
from miso_gen.recipe.load import experiment_files, load_recipe, recipe_files
from miso_gen.recipe.model import Canvas, Recipe
from miso_gen.recipe.parameters import Parameters
from miso_gen.recipe.plan import ImagePlan, plan_images
from miso_gen.recipe.plugins import (
    BACKGROUNDS,
    BINARIZERS,
    CELLS,
    DEFORMATIONS,
    MORPHOLOGIES,
    POINTS,
    RULES,
    SCENARIOS,
    TISSUES,
    Background,
    Binarizer,
    Case,
    Cell,
    Deformation,
    Morphologies,
    Plugin,
    PointProcess,
    Rule,
    Scenario,
    Tissue,
    Variant,
)
from miso_gen.recipe.prototype import EachOwn, Prototype
from miso_gen.recipe.schema import recipe_json_schema

__all__ = [
    "BACKGROUNDS",
    "BINARIZERS",
    "CELLS",
    "DEFORMATIONS",
    "MORPHOLOGIES",
    "POINTS",
    "RULES",
    "SCENARIOS",
    "TISSUES",
    "Background",
    "Binarizer",
    "Canvas",
    "Case",
    "Cell",
    "Deformation",
    "EachOwn",
    "ImagePlan",
    "Morphologies",
    "Parameters",
    "Plugin",
    "PointProcess",
    "Prototype",
    "Recipe",
    "Rule",
    "Scenario",
    "ScenarioEntry",
    "Tissue",
    "Variant",
    "experiment_files",
    "load_recipe",
    "plan_images",
    "recipe_files",
    "recipe_json_schema",
]
