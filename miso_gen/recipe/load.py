"""Reading recipes: a file, the name of a shipped one, YAML text or plain data, with overrides on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from miso_gen.contents import FOLDER, FolderSource, look_in
from miso_gen.errors import RecipeError, listing, suggestion
from miso_gen.recipe.model import Recipe
from miso_gen.recipe.overrides import Overriding
from miso_gen.recipe.source import Item, item_of, read_file, read_text

RECIPE: Final = "recipe.yaml"  #: of a store
_OVERRIDING: Final = Overriding(
    example="seed=7",
    paths="canvas.shape or scenarios[0].fuzz",
    typed=frozenset({"scenarios", "defaults"}),
    named="scenarios",
)


def load_recipe(source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """Return a checked recipe.

    Args:
        source: Path of a YAML file, or of a store, which holds its recipe; name of a shipped recipe (``miso1``); YAML text of
            more than one line; or plain data. What a recipe imports is relative to its file.
        overrides: Values by key path, ``{"canvas.shape": [512, 512], "scenarios.gsp.radius_px": 40}``, or the same as
            texts ``"canvas.shape=[512, 512]"`` whose values are YAML. Scenarios go by name or by number.

    Raises:
        RecipeError: Something is wrong; every problem is listed with file, line and key path.
    """
    return Recipe.from_item(_OVERRIDING.apply(_read(source), overrides))


def recipe_files() -> dict[str, Path]:
    """Return the recipes shipped with the package by name, sorted."""
    return _shipped(Path())


def experiment_files() -> dict[str, Path]:
    """Return the experiments shipped with the package by name, sorted."""
    return _shipped(Path("experiments"))


def _shipped(inner: Path) -> dict[str, Path]:
    package = Path(__file__).resolve().parents[1]
    folders = (package / "recipes" / inner, package.parent / "recipes" / inner)
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def _read(source: str | Path | Mapping[str, Any]) -> Item:
    if isinstance(source, Mapping):
        return item_of(source)
    if isinstance(source, str) and "\n" in source:
        return read_text(source, "recipe")
    if not isinstance(source, str | Path):
        raise RecipeError(f"the recipe must be a path, a name, YAML text or a mapping, got {type(source).__name__}.")
    path, shipped = Path(source), recipe_files()
    if str(source) in shipped and not path.is_file():
        path = shipped[str(source)]
    if (path / RECIPE).is_file():  # a store
        path = path / RECIPE
    if (path.parent / FOLDER).is_dir():
        look_in(str(path.parent.absolute()), FolderSource(path.parent.absolute()))
    if not path.exists():
        raise RecipeError(
            f"{path}: the recipe must be an existing file or one of {listing(shipped)}, got neither."
            f"{suggestion(path.stem, shipped)}"
        )
    return read_file(path)
