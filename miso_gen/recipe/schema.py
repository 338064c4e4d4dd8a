"""The grammar of recipes as a JSON schema (draft 2020-12), for editors that complete and check YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from miso_gen.recipe.entry import ENTRY_KEYS, Labels, Name
from miso_gen.recipe.importing import Importing
from miso_gen.recipe.model import SCHEMA, Canvas, Recipe
from miso_gen.recipe.parameters import Parameters
from miso_gen.recipe.plugins import FAMILIES, SCENARIOS, Plugin
from miso_gen.recipe.problems import NOTHING
from miso_gen.recipe.slots import Slot, default, slots

if TYPE_CHECKING:
    from miso_gen.registry import Registry

Json = dict[str, Any]

_PAIR: Final = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_DRAWS: Final[dict[str, Json]] = {
    "uniform": {
        "description": "Drawn: a <= value < b; whole where the field is.",
        "type": "object",
        "properties": {"uniform": _PAIR},
        "required": ["uniform"],
        "additionalProperties": False,
    },
    "normal": {
        "description": "Drawn: mean and standard deviation; redrawn while out of the field's range.",
        "type": "object",
        "properties": {"normal": {**_PAIR, "prefixItems": [{"type": "number"}, {"type": "number", "minimum": 0}]}},
        "required": ["normal"],
        "additionalProperties": False,
    },
}
_OPTION_TEXT: Final = {"choice": "Drawn: one of the values.", "each": "Enumerated: one image for each value."}


def recipe_json_schema() -> Json:
    """Return the JSON schema of recipes, with every registered plug-in."""
    definitions: dict[str, Json] = dict(_DRAWS)
    for registry in FAMILIES:
        _define_family(registry, definitions)
    definitions["canvas"] = {**_block(Canvas, drawable=False), "required": ["shape"]}
    head = {name: _field(Recipe, name, slot, drawable=False) for name, slot in slots(Recipe).items() if name != "scenarios"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "miso-gen recipe",
        "description": "Which images a data set has.",
        "type": "object",
        "properties": {
            "schema": {"const": SCHEMA, "description": "Version of the grammar."},
            **head,
            "defaults": _defaults(),
            "scenarios": {
                "description": "The families of images.",
                "type": "array",
                "items": {"$ref": "#/$defs/scenario"},
                "minItems": 1,
            },
        },
        "required": ["schema", *(name for name in head if default(Recipe, name) is NOTHING), "scenarios"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _define_family(registry: Registry[Any], definitions: dict[str, Json]) -> None:
    """Add a family and each of its plug-ins: a name, or a mapping whose other keys depend on its type."""
    key = _key(registry)
    names = list(registry.names())
    aliases: dict[str, list[str | int]] = {name: [name] for name in names}
    for alias, name in sorted(registry.aliases.items()):
        aliases[name] += [alias, int(alias)] if alias.isdecimal() else [alias]
    choices = []
    for name, model in registry:
        definitions[f"{key}.{name}"] = _plugin(model)
        condition = {"properties": {"type": {"enum": aliases[name]}}, "required": ["type"]}
        choices.append({"if": condition, "then": {"$ref": f"#/$defs/{key}.{name}"}})
    known = [alias for name in names for alias in aliases[name]]
    mapping: Json = {"type": "object", "properties": {"type": {"enum": known}}, "allOf": choices}
    if registry is SCENARIOS:
        mapping["required"] = ["type"]
    definitions[key] = {"anyOf": [{"enum": known}, mapping]}


def _plugin(model: type[Plugin]) -> Json:
    schema = _block(model, drawable=True)
    properties: Json = {"type": {"description": _summary(model)}}
    if issubclass(model, Importing):
        properties |= _block(model.source, drawable=False)["properties"]
    if "labels" in model.reserved:
        extra = {
            "name": {**_leaf(Slot(Name)), "description": "Name of the scenario, in ids; its type if not given."},
            "labels": {**_leaf(Slot(Labels)), "description": "The labels to keep; all if not given."},
        }
        properties |= {key: extra[key] for key in ENTRY_KEYS if key in extra}
    return {**schema, "properties": properties | schema["properties"], "required": ["type"]}


def _block(model: type[Parameters], *, drawable: bool) -> Json:
    return {
        "description": _summary(model),
        "type": "object",
        "properties": {name: _field(model, name, slot, drawable=drawable) for name, slot in slots(model).items()},
        "additionalProperties": False,
    }


def _field(model: type[Parameters], name: str, slot: Slot, *, drawable: bool) -> Json:
    extra: Json = {}
    description = model.model_fields[name].description
    if description:
        extra["description"] = " ".join(description.split())
    value = default(model, name)
    if value is not NOTHING:
        extra["default"] = value
    return {**extra, **_slot(slot, drawable=drawable)}


def _slot(slot: Slot, *, drawable: bool) -> Json:
    if slot.family is not None:
        return {"$ref": f"#/$defs/{_key(slot.family)}"}
    if slot.block is not None:
        return {"$ref": "#/$defs/canvas"} if slot.block is Canvas else _block(slot.block, drawable=drawable)
    schema = _list(slot, drawable=drawable) if slot.listed else _leaf(slot)
    if not drawable or slot.holds_plugins:
        return schema
    value = _slot(slot, drawable=False)
    draws = [{"$ref": f"#/$defs/{kind}"} for kind in _DRAWS] if slot.number else []
    return {"anyOf": [schema, *draws, *(_options(kind, value) for kind in _OPTION_TEXT)]}


def _options(kind: str, value: Json) -> Json:
    return {
        "description": _OPTION_TEXT[kind],
        "type": "object",
        "properties": {kind: {"type": "array", "items": value, "minItems": 1}},
        "required": [kind],
        "additionalProperties": False,
    }


def _list(slot: Slot, *, drawable: bool) -> Json:
    items = [_slot(child, drawable=drawable) for child in slot.children]
    if not slot.variadic:
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    limits = {} if slot.holds_plugins else {key: value for key, value in _leaf(slot).items() if key in ("minItems", "maxItems")}
    return {"type": "array", "items": items[0], **limits}


def _leaf(slot: Slot) -> Json:
    return {key: value for key, value in slot.adapter.json_schema().items() if key not in ("title", "default", "description")}


def _defaults() -> Json:
    """Return the schema of ``defaults``: every field that some scenario has."""
    fields: dict[str, list[Json]] = {}
    for _, model in SCENARIOS:
        for name, slot in slots(model).items():
            described = _field(model, name, slot, drawable=True)
            described.pop("default", None)
            if described not in fields.setdefault(name, []):
                fields[name].append(described)
    return {
        "description": "Merged into every scenario that has the field.",
        "type": "object",
        "properties": {name: kinds[0] if len(kinds) == 1 else {"anyOf": kinds} for name, kinds in sorted(fields.items())},
        "additionalProperties": False,
    }


def _key(registry: Registry[Any]) -> str:
    return registry.family.replace(" ", "-")


def _summary(model: type[Parameters]) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((model.__doc__ or "").strip().partition("\n\n")[0].split())
