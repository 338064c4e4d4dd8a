"""The scenarios of a recipe: plug-ins with draws in the places of numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, UnknownNameError, listing, suggestion
from miso_gen.recipe.parameters import NonNegativeInt
from miso_gen.recipe.plugins import SCENARIOS, Morphologies, Scenario
from miso_gen.recipe.problems import Problem, unknown_key
from miso_gen.recipe.slots import Slot, slots
from miso_gen.recipe.source import Item
from miso_gen.recipe.template import Block, compile_block, compile_node, example, field_item, named
from miso_gen.recipe.values import is_draw, located

ENTRY_KEYS = ("type", "name", "labels")  #: keys of a scenario that are not fields of its plug-in
_NO_DRAW_YET = "How many images there are must be known before anything is drawn."
_NO_DRAW = "Which silhouettes there are must be known before anything is drawn."

KEBAB = r"^[a-z0-9]+(-[a-z0-9]+)*$"


def _named(value: str) -> str:
    if len(value) > 64 or not re.fullmatch(KEBAB[1:-1], value):
        raise PydanticCustomError("expected", "a name of small letters, digits and single hyphens, such as my-shapes-2")
    return value


def different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values, or refuse those of which two are equal."""
    if len(set(values)) != len(values):
        raise PydanticCustomError("expected", "a list of different values")
    return values


Name = Annotated[str, AfterValidator(_named), WithJsonSchema({"type": "string", "pattern": KEBAB, "maxLength": 64})]
Labels = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), AfterValidator(different)]


@dataclass(frozen=True, slots=True)
class ScenarioEntry:
    """One scenario of a recipe: a plug-in with draws in the places of numbers."""

    name: str
    labels: tuple[int, ...]  #: the labels kept, sorted
    block: Block
    class_names: tuple[str, ...]  #: by label

    @property
    def model(self) -> type[Scenario]:
        """The class of the plug-in."""
        return self.block.model  # type: ignore[return-value]  # made from SCENARIOS only

    @property
    def type(self) -> str:
        """The name of the plug-in."""
        return self.model.type_name

    def plain(self) -> dict[str, Any]:
        """Return the entry as a recipe writes it, every field included."""
        fields = self.block.plain()
        return {"type": fields.pop("type"), "name": self.name, "labels": list(self.labels), **fields}

    def canonical(self) -> dict[str, Any]:
        """Return what differs from the defaults, and the revision of each plug-in used."""
        extra: dict[str, Any] = {}
        if self.name != self.type:
            extra["name"] = self.name
        if self.labels != tuple(range(len(self.class_names))):
            extra["labels"] = list(self.labels)
        return {**self.block.canonical(), **extra}


def read_scenarios(item: Item, problems: list[Problem]) -> tuple[ScenarioEntry, ...]:
    """Return the scenarios of a recipe with its defaults below them; what is wrong goes to ``problems``."""
    given = item.value.get("scenarios")
    if given is None:
        problems.append(Problem(("scenarios",), "given", place=item.place, advice="Write at least one, as in [{type: evp}]."))
        return ()
    if not isinstance(given.value, list) or not given.value:
        problems.append(given.problem("a list of one scenario or more, as in [{type: evp}]"))
        return ()
    defaults = item.value.get("defaults") or Item({}, ("defaults",))
    if not isinstance(defaults.value, dict):
        problems.append(defaults.problem("a mapping of fields of scenarios to values"))
        defaults = Item({}, ("defaults",))
    models, entries = [], []
    for inner in given.value:
        written = inner.with_type()
        model = _model(written, problems)
        if model is not None:
            models.append(model)
            entry = _entry(model, written, defaults.value, problems)
            entries.append((entry, written))
    if len(models) == len(given.value):
        _check_defaults(defaults, models, problems)
    _check_names([pair for pair in entries if pair[0] is not None], problems)
    return tuple(entry for entry, _ in entries if entry is not None)


def _model(item: Item, problems: list[Problem]) -> type[Scenario] | None:
    if not isinstance(item.value, dict) or is_draw(item):
        problems.append(item.problem("a scenario: {type: name, ...}"))
        return None
    if "type" not in item.value:
        advice = f"Known: {listing(SCENARIOS.names())}."
        problems.append(Problem((*item.path, "type"), "given", place=item.place, advice=advice))
        return None
    return named(SCENARIOS, item.value["type"], problems)


def _entry(model: type[Scenario], item: Item, defaults: Mapping[str, Item], problems: list[Problem]) -> ScenarioEntry | None:
    block = compile_block(model, item, problems, known=ENTRY_KEYS, below=defaults)
    name = _checked(Slot(Name), item.value.get("name"), model.type_name, problems)
    if block is None or name is None:
        return None
    try:
        classes = model.from_spec(example(block)).class_names
    except InputError as error:  # what was imported is nowhere, or is not what the recipe says of it
        problems.append(Problem(item.path, "", place=item.place, said=str(error)))
        return None
    every = tuple(range(len(classes)))
    labels = _checked(Slot(Labels), item.value.get("labels"), every, problems)
    if labels is not None and not set(labels) <= set(every):
        problems.append(item.value["labels"].problem(f"labels of {model.type_name}, of {list(every)}"))
    if labels is None:
        return None
    _check_shapes(block, item, problems)
    _check_undrawn(block, item, problems)
    return ScenarioEntry(name, tuple(sorted(labels)), block, classes)


def _check_undrawn(block: Block, item: Item, problems: list[Problem]) -> None:
    """Say which fields are drawn that must be known before."""
    for name in sorted(block.model.undrawn & block.fields.keys()):  # type: ignore[attr-defined]  # scenarios only
        for _, drawn in block.fields[name].draws():
            problems.append(Problem((*item.path, name), "a plain value", drawn.plain(), _NO_DRAW_YET, item.place))


def _check_shapes(block: Block, item: Item, problems: list[Problem]) -> None:
    """Say which silhouettes do not exist; they must be known before anything is drawn."""
    shapes = block.fields.get("morphologies")
    if not isinstance(shapes, Block) or not issubclass(shapes.model, Morphologies):
        return
    written = item.value.get("morphologies", item)
    path = (*item.path, "morphologies")
    drawn = [Problem((*path, key), "a plain value", draw.plain(), _NO_DRAW, written.place) for key, draw in shapes.draws()]
    problems.extend(drawn)
    if not drawn:
        try:
            shapes.model.from_spec(shapes.plain()).names()
        except InputError as error:
            known, name = (error.known, error.name) if isinstance(error, UnknownNameError) else ((), shapes.plain())
            expected = f"silhouettes, of {listing(known)}" if known else f"silhouettes that exist ({error})"
            problems.append(Problem(path, expected, name, suggestion(str(name), known).strip(), written.place))


def _checked(slot: Slot, item: Item | None, otherwise: Any, problems: list[Problem]) -> Any:
    if item is None:
        return otherwise
    try:
        return slot.valid(item.plain())
    except ValidationError as error:
        problems.extend(located(error, item))
        return None


def _check_defaults(defaults: Item, models: list[type[Scenario]], problems: list[Problem]) -> None:
    """Say which defaults no scenario has, and check those that every scenario replaces."""
    fields = {name: model for model in reversed(models) for name in model.model_fields}
    for key, value in defaults.value.items():
        if key not in fields:
            found = unknown_key(value.path, value.plain(), fields, value.place)
            problems.append(Problem(value.path, "a field of a scenario of the recipe", found.value, found.advice, value.place))
            continue
        written = field_item(fields[key], key, value)
        if written is not None:
            compile_node(slots(fields[key])[key], written, problems)


def _check_names(entries: list[tuple[Any, Item]], problems: list[Problem]) -> None:
    seen: dict[str, Item] = {}
    for entry, item in entries:
        if entry.name in seen:
            where = item.value.get("name", item.value["type"])
            first = seen[entry.name].path[-1]
            advice = f"scenarios[{first}] has it too: give one of them another name, as in name: {entry.name}-2."
            path = (*item.path, "name")
            problems.append(Problem(path, "unique among the scenarios", entry.name, advice, where.place))
        seen.setdefault(entry.name, item)
