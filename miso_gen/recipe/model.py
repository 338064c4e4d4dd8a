"""A recipe: which images a data set has, as checked plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, InstanceOf, WithJsonSchema
from pydantic_core import PydanticCustomError

from miso_gen.recipe.entry import Name, ScenarioEntry, different, read_scenarios
from miso_gen.recipe.importing import contents_of
from miso_gen.recipe.parameters import Parameters, Whole, plain
from miso_gen.recipe.problems import Problem, report, unknown_key
from miso_gen.recipe.slots import slots
from miso_gen.recipe.source import Item, item_of
from miso_gen.recipe.template import compile_node, field_item
from miso_gen.recipe.values import is_draw

SCHEMA = 1  #: version of the grammar
_SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"


def _version(value: str) -> str:
    if not re.fullmatch(_SEMVER[1:-1], value):
        raise PydanticCustomError("expected", "a semantic version, MAJOR.MINOR.PATCH, such as 1.0.0")
    return value


Version = Annotated[str, AfterValidator(_version), WithJsonSchema({"type": "string", "pattern": _SEMVER})]
Side = Annotated[int, Field(ge=64, le=2**20), Whole]


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


def _date(value: str) -> str:
    try:
        given = date.fromisoformat(value) if value else None
    except ValueError:
        given = None
    if value and (given is None or given.isoformat() != value):
        raise PydanticCustomError("expected", "a day, YYYY-MM-DD, such as 2026-11-21")
    return value


Day = Annotated[str, AfterValidator(_date), WithJsonSchema({"type": "string", "pattern": r"^(\d{4}-\d{2}-\d{2})?$"})]


class Author(Parameters):
    """Who made the data set: a person or a group."""

    name: Annotated[str, Field(min_length=1)]
    """The name, as it is to be cited: ``Family, Given`` for a person."""
    orcid: Annotated[str, Field(pattern=r"^(\d{4}-\d{4}-\d{4}-\d{3}[\dX])?$")] = ""
    """ORCID iD of a person, such as 0000-0002-1825-0097."""
    affiliation: str = ""
    """Where they work."""


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
    authors: tuple[Author, ...] = ()
    """Who made the data set, for its citation."""
    date: Day = ""
    """Day of the release, YYYY-MM-DD; no clock is read."""
    url: str = ""
    """Home page of the data set."""
    keywords: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Words to find it by."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1), Whole] = 0
    """Decides every draw; another seed gives other images of the same kind."""
    canvas: Canvas
    """The pixels of every image."""
    codec: Literal["lz4", "zstd"] = "lz4"
    """How pixels are compressed; decides no pixel."""
    splits: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(different)]
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
        fields["scenarios"] = read_scenarios(item, problems)
        if problems:
            raise report(problems)
        _require_unicode(fields)
        return cls(**fields)

    def canonical(self) -> dict[str, Any]:
        """Return what decides the images, and nothing else.

        Of seed, canvas and scenarios only the values that differ from their defaults; the splits; the revision of each
        plug-in. Name, version, codec and all texts for people decide no pixel, label or truth and are left out, so a
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

    def contents(self) -> tuple[str, ...]:
        """Return the digests of the imported contents that the plug-ins name, sorted."""
        return tuple(sorted({digest for entry in self.scenarios for digest in contents_of(entry.block)}))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON (sorted keys, no spaces), in hexadecimal: names what a build makes."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return sha256(text.encode()).hexdigest()


def _require_unicode(fields: Mapping[str, Any]) -> None:
    """Raise RecipeError where a text of the head has half a character, which no file can hold."""
    for name, value in fields.items():
        if name != "scenarios":
            try:
                json.dumps(plain(value), ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                half = ascii(error.object[error.start])
                raise report([Problem((name,), "text of whole characters", half)]) from None


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
