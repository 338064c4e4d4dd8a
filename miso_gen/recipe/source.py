"""What a recipe says, value by value, with the place where it says so.

A recipe is a tree of :class:`Item`. Defaults and overrides move items about; each keeps the key path and the line it was
written at, so that a message points at the words of the user.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from miso_gen.errors import RecipeError
from miso_gen.recipe.problems import KeyPath, Problem, path_text, report, shown

MOST_VALUES: Final = 100_000  #: values of one recipe; aliases of aliases would fill the memory


@dataclass(frozen=True, slots=True)
class Item:
    """One value: a scalar, a dict of items or a list of items."""

    value: Any
    path: KeyPath = ()
    place: str = ""  #: ``miso1.yaml:12``, ``--set``, or nothing

    def plain(self) -> Any:
        """Return the value as plain data."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def at(self, path: KeyPath) -> Item:
        """Return the item at a path below this one, or the last one on the way there."""
        here = self
        for key in path:
            inner = here.value
            found = (
                key in inner if isinstance(inner, dict) else isinstance(inner, list) and isinstance(key, int) and key < len(inner)
            )
            if not found:
                break
            here = inner[key]
        return here

    def problem(self, expected: str, advice: str = "") -> Problem:
        """Return what is wrong with this value."""
        return Problem(self.path, expected, self.plain(), advice, self.place)

    def with_type(self) -> Item:
        """Return the item with a bare name ``name`` written as ``{type: name}``."""
        if isinstance(self.value, str):
            return Item({"type": Item(self.value, (*self.path, "type"), self.place)}, self.path, self.place)
        return self


def item_of(data: Any, path: KeyPath = (), place: str = "") -> Item:
    """Return plain data as an item."""
    if isinstance(data, Mapping):
        return Item({str(key): item_of(value, (*path, str(key)), place) for key, value in data.items()}, path, place)
    if isinstance(data, list | tuple):
        return Item([item_of(value, (*path, index), place) for index, value in enumerate(data)], path, place)
    return Item(data, path, place)


def read_file(path: Path) -> Item:
    """Return a YAML file as an item.

    Raises:
        RecipeError: It can't be read, is not UTF-8, or is not a mapping in valid YAML.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RecipeError(f"{path}: the recipe must be an existing file, got nothing there.") from None
    except IsADirectoryError:
        inside = ", ".join(sorted(file.name for file in path.glob("*.y*ml"))[:10])
        raise RecipeError(
            f"{path}: the recipe must be a file, got a folder.{f' Give one of the files in it: {inside}.' if inside else ''}"
        ) from None
    except OSError as error:
        raise RecipeError(f"{path}: the recipe must be a readable file, got {error.strerror or error}.") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path}: the recipe must be UTF-8 text, got byte {raw[error.start]:#04x} at offset {error.start}. Save it as UTF-8."
        ) from None
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Item:
    """Return YAML text as an item; ``name`` stands for the file in messages.

    Raises:
        RecipeError: It is not a mapping in valid YAML; keys are given twice.
    """
    item = parse(text, name)
    if item.value is None:
        raise RecipeError(f"{name}: the recipe must be a mapping of keys to values, got an empty file.")
    if not isinstance(item.value, dict):
        raise RecipeError(f"{item.place}: the recipe must be a mapping of keys to values, got {shown(item.plain())}.")
    return item


def parse(text: str, name: str, path: KeyPath = ()) -> Item:
    """Return any YAML value as an item.

    Raises:
        RecipeError: It is not valid YAML, or keys are given twice.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise _syntax_error(error, name, text) from None
    try:
        node = loader.get_single_node()
        if node is None:
            return Item(None, path, name)
        reader = _Reader(loader, name)
        item = reader.item(node, path, ())
    except yaml.YAMLError as error:
        raise _syntax_error(error, name, text) from None
    except (ValueError, OverflowError) as error:  # a date such as 2022-13-45
        raise RecipeError(f"{name}: the recipe must be valid YAML, got a value that can't be read: {error}.") from None
    finally:
        cast("Any", loader).dispose()
    if reader.problems:
        raise report(reader.problems)
    return item


class _Loader(yaml.SafeLoader):
    """YAML whose days are texts: as JSON has them, and as they were written."""


def _as_written(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    return cast("Any", loader).construct_yaml_str(node)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_written)


class _Reader:
    """Composed YAML nodes -> items."""

    def __init__(self, loader: yaml.SafeLoader, name: str) -> None:
        self.loader, self.name = loader, name
        self.problems: list[Problem] = []
        self.count = 0

    def item(self, node: yaml.Node, path: KeyPath, parents: tuple[int, ...]) -> Item:
        place = f"{self.name}:{node.start_mark.line + 1}"
        self.count += 1
        if self.count > MOST_VALUES:
            raise RecipeError(f"{self.name}: a recipe must hold at most {MOST_VALUES} values, got more. Use fewer aliases.")
        if id(node) in parents:
            raise RecipeError(f"{place}: {path_text(path)} must be a plain value, got an alias of what it is part of.")
        inside = (*parents, id(node))
        if isinstance(node, yaml.MappingNode):
            return Item(dict(self._pairs(node, path, inside)), path, place)
        if isinstance(node, yaml.SequenceNode):
            items = [self.item(child, (*path, index), inside) for index, child in enumerate(node.value)]
            return Item(items, path, place)
        return Item(cast("Any", self.loader).construct_object(node, deep=True), path, place)

    def _pairs(self, node: yaml.MappingNode, path: KeyPath, parents: tuple[int, ...]) -> Iterator[tuple[str, Item]]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            line, key = key_node.start_mark.line + 1, key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise RecipeError(f"{self.name}:{line}: a key of {path_text(path)} must be text, got a list or a mapping.")
            if key in lines and key_node.tag != "tag:yaml.org,2002:merge":
                advice = f"Line {lines[key]} gives it already: delete one of them."
                self.problems.append(Problem((*path, key), "given once", _AGAIN, advice, f"{self.name}:{line}"))
            lines[key] = line
        cast("Any", self.loader).flatten_mapping(node)  # what "<<: *alias" merges comes first, so own keys win
        for key_node, value_node in node.value:
            yield str(key_node.value), self.item(value_node, (*path, str(key_node.value)), parents)


class _Again:
    def __repr__(self) -> str:
        return "it twice"


_AGAIN: Final = _Again()


def _syntax_error(error: yaml.YAMLError, name: str, text: str) -> RecipeError:
    place, advice = name, ""
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).partition("\n")[0]
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        place = f"{name}:{mark.line + 1}:{mark.column + 1}"
        line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
        if "\t" in line:
            advice = " Indent with spaces, not tabs."
    elif hasattr(error, "position"):
        place = f"{name}:{text.count(chr(10), 0, error.position) + 1}"
    return RecipeError(f"{place}: the recipe must be valid YAML, got an error: {said}.{advice}")
