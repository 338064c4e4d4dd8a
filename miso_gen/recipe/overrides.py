"""Overrides: values by key path that replace those of a file, or are added to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from miso_gen.errors import RecipeError, UnknownNameError
from miso_gen.recipe.problems import KeyPath, path_text
from miso_gen.recipe.source import Item, item_of, parse

OVERRIDE: Final = "--set"


@dataclass(frozen=True)
class Overriding:
    """How overrides of a kind of file are read.

    Attributes:
        example: An override, for messages: ``seed=7``.
        paths: Key paths, for messages: ``canvas.shape or scenarios[0].fuzz``.
        typed: Top keys below which a bare name stands for ``{type: name}``; None: everywhere.
        named: Top key of a list whose entries also go by their names; None: there is none.
    """

    example: str
    paths: str
    typed: frozenset[str] | None = None
    named: str | None = None

    def apply(self, item: Item, overrides: Mapping[str, Any] | Sequence[str]) -> Item:
        """Return the item with values replaced or added; each knows that it was overridden.

        Args:
            item: What a file says.
            overrides: Values by key path, ``{"train.lr": 1e-3, "models[0].form": "wide"}``, or texts ``"train.lr=1.0e-3"`` whose
                values are YAML; later ones win.

        Raises:
            RecipeError: An override is not written so, or its path leads nowhere.
        """
        for path, value in self._pairs(overrides):
            item = self._replaced(item, path, value, ())
        return item

    def _pairs(self, given: Mapping[str, Any] | Sequence[str]) -> list[tuple[KeyPath, Item]]:
        if isinstance(given, Mapping):
            return [(path := self._key_path(key), item_of(value, path, "overrides")) for key, value in given.items()]
        pairs = []
        for text in [given] if isinstance(given, str) else given:
            key, equals, value = text.partition("=")
            if not equals or not key.strip():
                raise RecipeError(f"{OVERRIDE} must be key.path=value, got {text!r}. For example: {OVERRIDE} {self.example}.")
            path = self._key_path(key.strip())
            found = parse(value, f"{OVERRIDE} {text}", path)
            pairs.append((path, item_of(found.plain(), path, f"{OVERRIDE} {key.strip()}")))
        return pairs

    def _key_path(self, text: str) -> KeyPath:
        """Return ``scenarios[1].radius_px`` or ``scenarios.1.radius_px`` as a tuple; numbers in dots stay text for now."""
        keys: list[str | int] = []
        for part in text.split("."):
            match = re.fullmatch(r"([^\[\]]+)((?:\[\d+\])*)", part.strip())
            if match is None:
                raise RecipeError(f"{OVERRIDE} must name a key path such as {self.paths}, got {text!r}.")
            keys += [match[1], *(int(number) for number in re.findall(r"\d+", match[2]))]
        return tuple(keys)

    def _replaced(self, here: Item, path: KeyPath, value: Item, done: KeyPath) -> Item:
        """Return the item with the value at a path below it replaced or added; mappings on the way are made."""
        if not path:
            return item_of(value.plain(), done, value.place)
        key, rest = path[0], path[1:]
        if isinstance(here.value, list):
            index = self._index(here, key, value)
            items = list(here.value)
            items[index] = self._replaced(items[index], rest, value, (*done, index))
            return Item(items, here.path, here.place)
        fields = self._fields(here, key, done, value)
        inner = fields.get(str(key), Item({} if rest else None, (*done, str(key)), value.place))
        return Item({**fields, str(key): self._replaced(inner, rest, value, (*done, str(key)))}, here.path, here.place)

    def _fields(self, here: Item, key: str | int, done: KeyPath, value: Item) -> dict[str, Item]:
        if here.value is None:
            return {}
        mapping = here.with_type() if self.typed is None or (done and done[0] in self.typed) else here
        if isinstance(mapping.value, dict) and isinstance(key, str):
            return mapping.value
        wanted = f"a list, to have [{key}]" if isinstance(key, int) else f"a mapping, to have the key {key!r}"
        raise RecipeError(f"{value.place}: {path_text(done)} must be {wanted}, got {here.plain()!r}.")

    def _index(self, here: Item, key: str | int, value: Item) -> int:
        """Return the place in a list that a number, or the name of an entry, means."""
        count = len(here.value)
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        if isinstance(key, int):
            if key < count:
                return key
            raise RecipeError(f"{value.place}: the number in {path_text(here.path)} must be less than {count}, got {key}.")
        go_by_name = self.named is not None and here.path == (self.named,)
        names = [_entry_name(item) for item in here.value]
        if not go_by_name or key not in names:
            known = names if go_by_name else [str(index) for index in range(count)]
            raise RecipeError(f"{value.place}: {UnknownNameError(f'the key after {path_text(here.path)}', key, known)}")
        return names.index(key)


def _entry_name(item: Item) -> str:
    entry = item.with_type()
    fields = entry.value if isinstance(entry.value, dict) else {}
    name = fields.get("name") or fields.get("type")
    return str(name.plain()) if name else ""
