"""A recipe: which images a data set has, as checked plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, InstanceOf, ValidationError
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, UnknownNameError, listing, suggestion
from miso_gen.recipe.parameters import Integer, Parameters, plain
from miso_gen.recipe.plugins import SCENARIOS, Morphologies, Scenario
from miso_gen.recipe.problems import Problem, report, unknown_key
from miso_gen.recipe.slots import Slot, slots
from miso_gen.recipe.source import Item, item_of
from miso_gen.recipe.template import Block, compile_block, compile_node, field_item, named
from miso_gen.recipe.values import is_draw, located

SCHEMA = 1  #: version of the grammar
ENTRY_KEYS = ("type", "name", "labels")  #: keys of a scenario that are not fields of its plug-in
_NO_DRAW = "Which silhouettes there are must be known before anything is drawn."

KEBAB = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"


def _named(value: str) -> str:
    if len(value) > 64 or not re.fullmatch(KEBAB[1:-1], value):
        raise PydanticCustomError("expected", "a name of small letters, digits and single hyphens, such as my-shapes-2")
    return value


def _version(value: str) -> str:
    if not re.fullmatch(_SEMVER[1:-1], value):
        raise PydanticCustomError("expected", "a semantic version, MAJOR.MINOR.PATCH, such as 1.0.0")
    return value


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("expected", "a list of different values")
    return values


Name = Annotated[str, Field(json_schema_extra={"pattern": KEBAB, "maxLength": 64}), AfterValidator(_named)]
Version = Annotated[str, Field(json_schema_extra={"pattern": _SEMVER}), AfterValidator(_version)]
Side = Annotated[Integer, Field(ge=64, le=2**24)]
Labels = Annotated[tuple[Annotated[Integer, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_different)]


class Canvas(Parameters):
    """The pixels of every image. Values in [0, 1] span the full range of the dtype."""

    shape: tuple[Side, Side]
    """Height and width in pixels, each at least 64."""
    channels: Literal[1, 3] = 1
    """1 for grey, 3 for colour."""
    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    """Type of the stored pixels."""

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]


@dataclass(frozen=True, slots=True)
class ScenarioEntry:
    """One scenario of a recipe: a plug-in with draws in the places of numbers."""

    name: str
    labels: tuple[int, ...]  #: the labels kept, sorted
    block: Block

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
        if self.labels != tuple(range(len(self.model.classes))):
            extra["labels"] = list(self.labels)
        return {**self.block.canonical(), **extra}


class Recipe(Parameters):
    """A checked recipe. Made by :func:`~miso_gen.recipe.load.load_recipe` or :meth:`from_dict`."""

    name: Name
    """Names the data set."""
    version: Version = "0.1.0"
    """Semantic version of the data: MAJOR labels, truth or splits change; MINOR images are added; PATCH metadata only."""
    title: str = ""
    """One line for people."""
    license: str = ""
    """SPDX name of the licence of the data."""
    description: str = ""
    """A paragraph for people."""
    seed: Annotated[Integer, Field(ge=0, le=2**63 - 1)] = 0
    """Decides every draw; another seed gives other images of the same kind."""
    canvas: Canvas
    """The pixels of every image."""
    codec: Literal["lz4", "zstd"] = "lz4"
    """How pixels are compressed; decides no pixel."""
    splits: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_different)]
    """Names of the splits, in order."""
    scenarios: Annotated[tuple[InstanceOf[ScenarioEntry], ...], Field(min_length=1)]
    """The families of images."""

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON-able data, every default written out; :meth:`from_dict` reads it."""
        fields = {name: plain(getattr(self, name)) for name in type(self).model_fields if name != "scenarios"}
        return {"schema": SCHEMA, **fields, "scenarios": [entry.plain() for entry in self.scenarios]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the recipe of plain data.

        Raises:
            RecipeError: Something in it is wrong; every problem is listed.
        """
        return cls.from_item(item_of(data))

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Return the recipe of a tree of items (see :mod:`miso_gen.recipe.source`).

        Raises:
            RecipeError: Something in it is wrong; every problem is listed with its place.
        """
        problems: list[Problem] = []
        fields = _head(cls, item, problems)
        fields["scenarios"] = _scenarios(item, problems)
        if problems:
            raise report(problems)
        return cls(**fields)

    def canonical(self) -> dict[str, Any]:
        """Return what decides the images, and nothing else.

        Of seed, canvas and scenarios only the values that differ from their defaults; the splits; the revision of each
        plug-in. Name, version, title, licence, description and codec decide no pixel, label or truth and are left out, so a
        release that only corrects metadata keeps its digest.
        """
        canvas = {
            name: plain(getattr(self.canvas, name))
            for name, info in Canvas.model_fields.items()
            if getattr(self.canvas, name) != info.default
        }
        seed = {"seed": self.seed} if self.seed else {}
        scenarios = [entry.canonical() for entry in self.scenarios]
        return {"schema": SCHEMA, **seed, "canvas": canvas, "splits": list(self.splits), "scenarios": scenarios}

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON (sorted keys, no spaces), in hexadecimal: names what a build makes."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return sha256(text.encode()).hexdigest()


def _head(model: type[Recipe], item: Item, problems: list[Problem]) -> dict[str, Any]:
    """Return the fields of a recipe other than its scenarios, and check that no key is unknown."""
    known = ("schema", *(name for name in model.model_fields if name != "scenarios"), "defaults", "scenarios")
    for key, value in item.value.items():
        if key not in known:
            problems.append(unknown_key(value.path, value.plain(), known, value.place))
    schema = item.value.get("schema")
    if schema is None:
        problems.append(Problem(("schema",), "given", place=item.place, advice=f"Write schema: {SCHEMA}."))
    elif schema.value is True or schema.plain() != SCHEMA:
        problems.append(schema.problem(f"{SCHEMA}", "This version of miso-gen reads no other grammar."))
    fields = {}
    for name, slot in slots(model).items():
        if name == "scenarios":
            continue
        written = field_item(model, name, item.value.get(name))
        if written is None:
            problems.append(Problem((name,), "given", place=item.place))
        elif _drawless(written, problems):
            node = compile_node(slot, written, problems)
            fields[name] = node.plain() if node else None
    return fields


def _drawless(item: Item, problems: list[Problem]) -> bool:
    """Return whether nothing in the item is drawn; otherwise say so."""
    if is_draw(item):
        problems.append(item.problem("a plain value", "Only values of scenarios may be drawn."))
        return False
    inner = item.value.values() if isinstance(item.value, dict) else item.value if isinstance(item.value, list) else ()
    return all([_drawless(value, problems) for value in inner])


def _scenarios(item: Item, problems: list[Problem]) -> tuple[ScenarioEntry, ...]:
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
    every = tuple(range(len(model.classes)))
    labels = _checked(Slot(Labels), item.value.get("labels"), every, problems)
    if labels is not None and not set(labels) <= set(every):
        problems.append(item.value["labels"].problem(f"labels of {model.type_name}, of {list(every)}"))
    if block is None or name is None or labels is None:
        return None
    _check_shapes(block, item, problems)
    return ScenarioEntry(name, tuple(sorted(labels)), block)


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
