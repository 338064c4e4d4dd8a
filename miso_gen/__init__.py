"""miso-gen: synthetic megapixel images with pixel-exact ground truth for evaluating explanations of deep networks.

::

    from miso_gen import build, load_recipe, open_dataset, plan_images, render

    recipe = load_recipe("recipes/miso1.yaml", overrides={"seed": 7})
    image, truth = render(recipe, "gsp/test/0007")
    build(recipe, "out", workers=2)
    dataset = open_dataset("out")
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miso_gen.build import BuildResult, build
    from miso_gen.errors import MisoGenError
    from miso_gen.explain import explain as explain  # needs the extra eval, so that it is no part of __all__
    from miso_gen.metrics import score as score
    from miso_gen.models import create_model as create_model
    from miso_gen.preview import preview
    from miso_gen.recipe import ImagePlan, Recipe, load_recipe, plan_images, recipe_json_schema
    from miso_gen.release.diff import diff
    from miso_gen.release.verify import verify
    from miso_gen.render import render
    from miso_gen.store import Dataset, open_dataset, validate_store

__version__ = "0.1.0"

_HOMES = {
    "BuildResult": "build",
    "Dataset": "store",
    "ImagePlan": "recipe",
    "MisoGenError": "errors",
    "Recipe": "recipe",
    "build": "build",
    "create_model": "models",
    "diff": "release.diff",
    "explain": "explain",
    "load_recipe": "recipe",
    "open_dataset": "store",
    "plan_images": "recipe",
    "preview": "preview",
    "recipe_json_schema": "recipe",
    "render": "render",
    "score": "metrics",
    "validate_store": "store",
    "verify": "release.verify",
}

__all__ = [
    "BuildResult",
    "Dataset",
    "ImagePlan",
    "MisoGenError",
    "Recipe",
    "__version__",
    "build",
    "diff",
    "load_recipe",
    "open_dataset",
    "plan_images",
    "preview",
    "recipe_json_schema",
    "render",
    "validate_store",
    "verify",
]


class _Door(ModuleType):
    """The package as users see it: everything heavy is imported on first use.

    Some functions bear the name of the module they live in. Python writes a module to its package once it is imported; here the
    function keeps the name, and the module is reached by ``from miso_gen.build import ...``.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'miso_gen' has no attribute {name!r}")
        value = getattr(import_module(f"miso_gen.{_HOMES[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Door
