"""What there is to choose from: recipes, plug-ins, silhouettes, data sets."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from miso_gen.errors import InputError, MissingExtraError, OutputError, UnknownNameError
from miso_gen.recipe import (
    BACKGROUNDS,
    BINARIZERS,
    CELLS,
    DEFORMATIONS,
    MORPHOLOGIES,
    POINTS,
    RULES,
    SCENARIOS,
    TISSUES,
    experiment_files,
    load_recipe,
    recipe_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from miso_gen.registry import Registry


#: What ``miso_gen.metrics`` calls the families of scores, by kind.
SCORES = {
    "metrics": "metric",
    "model-metrics": "model metric",
    "map-binarizers": "map binarizer",
    "decisions": "decision rule",
}


def catalogue(kind: str | None = None) -> dict[str, dict[str, str]]:
    """Return ``{kind: {name: one line}}`` of everything, or of one kind.

    Raises:
        UnknownNameError: There is no such kind.
        MissingExtraError: The kind needs an extra that is not installed; among all kinds it is left out.
    """
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "recipes": _recipes,
        "scenarios": lambda: _plugins(SCENARIOS),
        "backgrounds": lambda: _plugins(BACKGROUNDS),
        "morphologies": lambda: _plugins(MORPHOLOGIES),
        "silhouettes": _silhouettes,
        "points": lambda: _plugins(POINTS),
        "deformations": lambda: _plugins(DEFORMATIONS),
        "cells": lambda: _plugins(CELLS),
        "rules": lambda: _plugins(RULES),
        "tissues": lambda: _plugins(TISSUES),
        "binarizers": lambda: _plugins(BINARIZERS),
        "exports": _exports,
        "releases": _releases,
        "models": _models,
        "explainers": _explainers,
        "experiments": _experiments,
        **{name: partial(_scores, family) for name, family in SCORES.items()},
    }
    if kind is not None and kind not in kinds:
        raise UnknownNameError("kind", kind, kinds)
    found = {}
    for name, members in kinds.items():
        if kind in (None, name):
            try:
                found[name] = members()
            except MissingExtraError:  # who asks for all gets what there is
                if kind is not None:
                    raise
    return found


def copy_recipe(name: str, source: str, folder: Path) -> Path:
    """Copy a shipped recipe to ``<name>.yaml`` in a folder, under its new name; return the new file.

    Raises:
        InputError: The name is none that a recipe can have.
        OutputError: The file is there already.
        UnknownNameError: No shipped recipe is called ``source``.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 64:
        raise InputError(f"name must be small letters, digits and single hyphens, such as my-shapes, got {name!r}.")
    files = recipe_files()
    if source not in files:
        raise UnknownNameError("recipe", source, files)
    path = folder / f"{name}.yaml"
    if path.exists():
        raise OutputError(f"{path.name} must be new, got a file that is there. Choose another name, or remove it.")
    text = files[source].read_text("utf-8")
    path.write_text(re.sub(r"(?m)^name: \S+", f"name: {name}", text, count=1), "utf-8")
    return path


def _plugins(registry: Registry[Any]) -> dict[str, str]:
    return {name: (plugin.__doc__ or "").strip().partition("\n")[0].replace("``", "") for name, plugin in registry}


def _recipes() -> dict[str, str]:
    return {name: load_recipe(path).title for name, path in sorted(recipe_files().items())}


def _models() -> dict[str, str]:
    from miso_gen.models import MODELS

    return _plugins(MODELS)


def _explainers() -> dict[str, str]:
    from miso_gen.explain import EXPLAINERS

    return _plugins(EXPLAINERS)


def _experiments() -> dict[str, str]:
    """Return shipped experiments with the first line of their files."""
    return {name: path.read_text("utf-8").partition("\n")[0].lstrip("# ") for name, path in experiment_files().items()}


def _scores(family: str) -> dict[str, str]:
    from miso_gen.metrics.appendix import metric_table

    return {row["name"]: row["what"] for row in metric_table(family)}


def _exports() -> dict[str, str]:
    from miso_gen.release.exports import EXPORTS

    return _plugins(EXPORTS)


def _releases() -> dict[str, str]:
    from miso_gen.store import known_releases

    return {f"{name}@{version}": str(path) for (name, version), path in known_releases().items()}


def _silhouettes() -> dict[str, str]:
    from miso_gen.scene.morphologies.builtin import library

    return {name: str(shape["title"]) for name, shape in sorted(library()["shapes"].items())}
