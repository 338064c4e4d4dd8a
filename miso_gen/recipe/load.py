"""Reading recipes: a file, the name of a shipped one, YAML text or plain data, with overrides on top."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from miso_gen.contents import FOLDER, FolderSource, look_in
from miso_gen.errors import RecipeError, UnknownNameError, listing, suggestion
from miso_gen.recipe.model import Recipe
from miso_gen.recipe.problems import KeyPath, path_text
from miso_gen.recipe.source import Item, item_of, parse, read_file, read_text

RECIPE: Final = "recipe.yaml"  #: of a store
_OVERRIDE: Final = "--set"


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
    item = _read(source)
    for path, value in _overrides(overrides):
        item = _replaced(item, path, value, ())
    return Recipe.from_item(item)


def recipe_files() -> dict[str, Path]:
    """Return the recipes shipped with the package by name, sorted."""
    package = Path(__file__).resolve().parents[1]
    folders = (package / "recipes", package.parent / "recipes")
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


def _overrides(given: Mapping[str, Any] | Sequence[str]) -> list[tuple[KeyPath, Item]]:
    if isinstance(given, Mapping):
        return [(path := _key_path(key), item_of(value, path, "overrides")) for key, value in given.items()]
    pairs = []
    for text in [given] if isinstance(given, str) else given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"{_OVERRIDE} must be key.path=value, got {text!r}. For example: {_OVERRIDE} seed=7.")
        path = _key_path(key.strip())
        item = parse(value, f"{_OVERRIDE} {text}", path)
        pairs.append((path, _placed(item, f"{_OVERRIDE} {key.strip()}")))
    return pairs


def _placed(item: Item, place: str) -> Item:
    return item_of(item.plain(), item.path, place)


def _key_path(text: str) -> KeyPath:
    """Return ``scenarios[1].radius_px`` or ``scenarios.1.radius_px`` as a tuple; numbers in dots stay text for now."""
    keys: list[str | int] = []
    for part in text.split("."):
        match = re.fullmatch(r"([^\[\]]+)((?:\[\d+\])*)", part.strip())
        if match is None:
            raise RecipeError(f"{_OVERRIDE} must name a key path such as canvas.shape or scenarios[0].fuzz, got {text!r}.")
        keys += [match[1], *(int(number) for number in re.findall(r"\d+", match[2]))]
    return tuple(keys)


def _replaced(here: Item, path: KeyPath, value: Item, done: KeyPath) -> Item:
    """Return the item with the value at a path below it replaced or added; mappings on the way are made."""
    if not path:
        return item_of(value.plain(), done, value.place)
    key, rest = path[0], path[1:]
    if isinstance(here.value, list):
        index = _index(here, key, value)
        items = list(here.value)
        items[index] = _replaced(items[index], rest, value, (*done, index))
        return Item(items, here.path, here.place)
    fields = _fields(here, key, done, value)
    inner = fields.get(str(key), Item({} if rest else None, (*done, str(key)), value.place))
    return Item({**fields, str(key): _replaced(inner, rest, value, (*done, str(key)))}, here.path, here.place)


def _fields(here: Item, key: str | int, done: KeyPath, value: Item) -> dict[str, Item]:
    if here.value is None:
        return {}
    mapping = here.with_type() if done[:1] in {("scenarios",), ("defaults",)} else here
    if isinstance(mapping.value, dict) and isinstance(key, str):
        return mapping.value
    wanted = f"a list, to have [{key}]" if isinstance(key, int) else f"a mapping, to have the key {key!r}"
    raise RecipeError(f"{value.place}: {path_text(done)} must be {wanted}, got {here.plain()!r}.")


def _index(here: Item, key: str | int, value: Item) -> int:
    """Return the place in a list that a number, or the name of a scenario, means."""
    count = len(here.value)
    if isinstance(key, str) and key.isdecimal():
        key = int(key)
    if isinstance(key, int):
        if key < count:
            return key
        raise RecipeError(f"{value.place}: the number in {path_text(here.path)} must be less than {count}, got {key}.")
    names = [_entry_name(item) for item in here.value]
    if here.path != ("scenarios",) or key not in names:
        known = names if here.path == ("scenarios",) else [str(index) for index in range(count)]
        raise RecipeError(f"{value.place}: {UnknownNameError(f'the key after {path_text(here.path)}', key, known)}")
    return names.index(key)


def _entry_name(item: Item) -> str:
    entry = item.with_type()
    fields = entry.value if isinstance(entry.value, dict) else {}
    name = fields.get("name") or fields.get("type")
    return str(name.plain()) if name else ""
