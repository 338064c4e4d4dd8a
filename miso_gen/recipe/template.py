"""A plug-in as a recipe writes it: plain values, draws in their places, and plug-ins inside plug-ins.

:func:`compile_block` turns the items of a recipe into a :class:`Block`, checks every value on the way, and reports all
that is wrong. A block gives a plain dict for a plug-in once its draws have values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from pydantic import ValidationError

from miso_gen.errors import RecipeError, UnknownNameError, listing, suggestion
from miso_gen.recipe.importing import Importing, imported
from miso_gen.recipe.parameters import Parameters, Spec, frozen
from miso_gen.recipe.plugins import Plugin
from miso_gen.recipe.problems import NOTHING, KeyPath, Problem, path_text, unknown_key
from miso_gen.recipe.slots import Slot, default, slots
from miso_gen.recipe.source import Item, item_of
from miso_gen.recipe.values import REDRAWS, Draw, draw_of, is_draw, located

Values: TypeAlias = Mapping[str, Any]  #: key of a draw -> its value


@dataclass(frozen=True, slots=True)
class Fixed:
    """A plain value."""

    value: Any

    def plain(self) -> Any:
        """Return the value as a recipe writes it."""
        return self.value

    def draws(self, path: KeyPath = ()) -> Iterator[tuple[str, Drawn]]:
        """Yield nothing."""
        yield from ()

    def filled(self, values: Values, path: KeyPath = ()) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw, and the slot that it fills."""

    draw: Draw
    slot: Slot

    def plain(self) -> Any:
        """Return the draw as a recipe writes it."""
        return self.draw.plain()

    def draws(self, path: KeyPath = ()) -> Iterator[tuple[str, Drawn]]:
        """Yield the draw with its key."""
        yield path_text(path), self

    def filled(self, values: Values, path: KeyPath = ()) -> Any:
        """Return the value drawn for this key."""
        return values[path_text(path)]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list with draws or plug-ins in it."""

    items: tuple[Node, ...]

    def plain(self) -> Any:
        """Return the list as a recipe writes it."""
        return [item.plain() for item in self.items]

    def draws(self, path: KeyPath = ()) -> Iterator[tuple[str, Drawn]]:
        """Yield every draw with its key."""
        for index, item in enumerate(self.items):
            yield from item.draws((*path, index))

    def filled(self, values: Values, path: KeyPath = ()) -> Any:
        """Return the list with the values drawn."""
        return [item.filled(values, (*path, index)) for index, item in enumerate(self.items)]


@dataclass(frozen=True, slots=True)
class Block:
    """A plug-in, or a block of parameters in one."""

    model: type[Parameters]
    fields: Mapping[str, Node]

    def plain(self) -> dict[str, Any]:
        """Return every field as a recipe writes it."""
        return {**self._type(), **{name: node.plain() for name, node in self.fields.items()}}

    def draws(self, path: KeyPath = ()) -> Iterator[tuple[str, Drawn]]:
        """Yield every draw with its key, in the order of the fields of the class."""
        for name, node in self.fields.items():
            yield from node.draws((*path, name))

    def filled(self, values: Values, path: KeyPath = ()) -> dict[str, Any]:
        """Return every field as plain values."""
        return {**self._type(), **{name: node.filled(values, (*path, name)) for name, node in self.fields.items()}}

    def _type(self) -> dict[str, Any]:
        return {"type": self.model.type_name} if issubclass(self.model, Plugin) else {}

    def canonical(self) -> dict[str, Any]:
        """Return what differs from the defaults, and the revision of each plug-in used."""
        values = {}
        for name, node in self.fields.items():
            if slots(self.model)[name].holds_plugins:
                values[name] = _canonical(node)
            elif node.plain() != _default_plain(self.model, name):
                values[name] = node.plain()
        if issubclass(self.model, Plugin):
            return {"type": self.model.type_name, "revision": self.model.revision, "values": values}
        return values


@dataclass(frozen=True, slots=True)
class EachOwnBlock:
    """A plug-in whose draws are left to the objects of an image (see :mod:`miso_gen.recipe.prototype`)."""

    block: Block
    spec: Spec

    def plain(self) -> Spec:
        """Return every field as a recipe writes it."""
        return self.spec

    def draws(self, path: KeyPath = ()) -> Iterator[tuple[str, Drawn]]:
        """Yield nothing: no image draws these."""
        yield from ()

    def filled(self, values: Values, path: KeyPath = ()) -> Spec:
        """Return every field as a recipe writes it."""
        return self.spec

    def canonical(self) -> dict[str, Any]:
        """Return what differs from the defaults, and the revision of each plug-in used."""
        return self.block.canonical()


Node: TypeAlias = Fixed | Drawn | Listed | Block | EachOwnBlock


def _canonical(node: Node) -> Any:
    if isinstance(node, Block | EachOwnBlock):
        return node.canonical()
    return [_canonical(item) for item in node.items] if isinstance(node, Listed) else node.plain()


@cache
def _default_plain(model: type[Parameters], field: str) -> Any:
    raw = default(model, field)
    if raw is NOTHING:
        return NOTHING
    node = compile_node(slots(model)[field], item_of(raw), [])
    return node.plain() if node else NOTHING


def example(node: Node) -> Any:
    """Return the node with a representative value for every draw."""
    return node.filled({key: example_value(key, drawn) for key, drawn in node.draws()})


def example_value(key: str, drawn: Drawn) -> Any:
    """Return a representative value of a draw: its lower end, its first value, or a normal draw in range."""
    if drawn.draw.kind == "normal":
        from miso_gen.rng import Stream

        return drawn.draw.value(drawn.slot, Stream("example", key), key)
    return drawn.draw.arguments[0]


def merged(slot: Slot, base: Item | None, over: Item) -> Item:
    """Return ``over`` on top of ``base``: key by key in a plug-in of the same type, else ``over`` alone."""
    if base is None or not (slot.family or slot.block) or is_draw(over):
        return over
    if slot.family:
        base, over = _with_type(slot, base), _with_type(slot, over)
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    model = slot.block or _model_of(slot, base)
    if model is None or (slot.family and "type" in over.value and over.value["type"].plain() != base.value["type"].plain()):
        return over
    inner = slots(model)
    fields = dict(base.value)
    for key, item in over.value.items():
        fields[key] = merged(inner[key], base.value.get(key), item) if key in inner else item
    return Item(fields, over.path, over.place)


def _model_of(slot: Slot, item: Item) -> type[Parameters] | None:
    name = item.value.get("type")
    return slot.family.get(name.value) if slot.family and name is not None and name.value in slot.family else None


def _with_type(slot: Slot, item: Item) -> Item:
    """Return the item with a bare name written as ``{type: name}``; a whole number may be a name."""
    if slot.family and not isinstance(item.value, dict | list) and item.value in slot.family:
        return Item({"type": Item(item.value, (*item.path, "type"), item.place)}, item.path, item.place)
    return item.with_type()


def field_item(model: type[Parameters], field: str, *given: Item | None) -> Item | None:
    """Return what a field holds: its default, and on top of it whatever is given, in that order."""
    raw = default(model, field)
    item = None if raw is NOTHING else item_of(raw, (field,))
    for over in given:
        if over is not None:
            item = merged(slots(model)[field], item, over)
    return item


def compile_block(
    model: type[Parameters],
    item: Item,
    problems: list[Problem],
    known: tuple[str, ...] = (),
    below: Mapping[str, Item] | None = None,
) -> Block | None:
    """Return the block that a mapping writes, or None where something is wrong.

    Args:
        model: The class of the block.
        item: The mapping.
        problems: Where everything wrong is added.
        known: Keys of the mapping that are read elsewhere.
        below: Values that ``item`` goes on top of (the ``defaults`` of a recipe).
    """
    before = len(problems)
    for key, value in item.value.items():
        if key not in model.model_fields and key not in known:
            problems.append(unknown_key(value.path, value.plain(), (*known, *model.model_fields), value.place))
    fields: dict[str, Node] = {}
    for name, slot in slots(model).items():
        written = field_item(model, name, (below or {}).get(name), item.value.get(name))
        if written is None:
            problems.append(Problem((*item.path, name), "given", place=item.place))
            continue
        node = compile_node(slot, written, problems)
        if node is not None:
            fields[name] = node
    if len(problems) > before:
        return None
    return _tried(Block(model, fields), item, problems)


def _tried(block: Block, item: Item, problems: list[Problem]) -> Block | None:
    """Return the block if its class takes it with representative values: rules between fields."""
    try:
        block.model.model_validate({key: value for key, value in example(block).items() if key in block.model.model_fields})
    except ValidationError as error:
        for problem in located(error, item):
            whole = problem.path == item.path  # a rule between fields: show what was written, not all that it stands for
            problems.append(replace(problem, value=item.plain(), advice="") if whole else problem)
    else:
        return block
    return None


def compile_node(slot: Slot, item: Item, problems: list[Problem]) -> Node | None:
    """Return the node that an item writes for a slot, or None where something is wrong."""
    if slot.family:
        return _plugin(slot, item, problems)
    if slot.block and isinstance(item.value, dict):
        return compile_block(slot.block, item, problems)
    if is_draw(item):
        if slot.holds_plugins:
            problems.append(item.problem("a list, or a block of keys", "A plug-in can't be drawn: write one scenario for each."))
            return None
        before = len(problems)
        draw = draw_of(item, slot, problems)
        if draw is None or len(problems) > before:
            return None
        return _possible(Drawn(draw, slot), item, problems)
    if isinstance(item.value, list) and slot.listed and (slot.holds_plugins or _has_draw(item)):
        return _list(slot, item, problems)
    try:
        return Fixed(slot.valid(item.plain()))
    except ValidationError as error:
        problems.extend(located(error, item))
        return None


def _has_draw(item: Item) -> bool:
    return is_draw(item) or (isinstance(item.value, list) and any(_has_draw(inner) for inner in item.value))


def _possible(drawn: Drawn, item: Item, problems: list[Problem]) -> Drawn | None:
    try:
        example_value(path_text(item.path), drawn)
    except RecipeError:
        advice = f"It did not in {REDRAWS} tries: move the mean into the range."
        problems.append(item.problem("a normal draw that often falls in the range of the field", advice))
        return None
    return drawn


def _list(slot: Slot, item: Item, problems: list[Problem]) -> Node | None:
    before = len(problems)
    nodes = [compile_node(slot.child(index), inner, problems) for index, inner in enumerate(item.value)]
    if len(problems) > before:
        return None
    listed = Listed(tuple(node for node in nodes if node is not None))
    try:
        slot.adapter.validate_python(frozen(example(listed)))
    except ValidationError as error:
        problems.extend(located(error, item))
        return None
    return listed


def _plugin(slot: Slot, item: Item, problems: list[Problem]) -> Block | EachOwnBlock | None:
    assert slot.family is not None
    family = slot.family.family
    if is_draw(item):
        problems.append(item.problem(f"a {family}: a name, or {{type: name, ...}}", "A plug-in can't be drawn."))
        return None
    item = _with_type(slot, item)
    if not isinstance(item.value, dict) or "type" not in item.value:
        advice = f"Known: {listing(slot.family.names())}."
        problems.append(item.problem(f"a {family}: a name, or {{type: name, ...}}", advice))
        return None
    model = named(slot.family, item.value["type"], problems)
    if model is not None and issubclass(model, Importing):
        found = imported(model, item, problems)
        model, item = (None, item) if found is None else (model, found)
    block = compile_block(model, item, problems, known=("type",)) if model else None
    if block is None or not slot.each_own:
        return block
    listed = [Problem((*item.path, key), _NO_EACH, d.plain(), _NO_EACH_ADVICE, item.place) for key, d in _enumerated(block)]
    problems.extend(listed)
    return None if listed else EachOwnBlock(block, Spec(block.plain()))


_NO_EACH = "a value, or drawn by uniform, normal or choice"
_NO_EACH_ADVICE = "Every object draws its own: write choice where one of several values is meant."


def _enumerated(block: Block) -> Iterator[tuple[str, Drawn]]:
    return ((key, drawn) for key, drawn in block.draws() if drawn.draw.kind == "each")


def named(family: Any, name: Item, problems: list[Problem]) -> type[Any] | None:
    """Return the class that a ``type`` names, or None where nothing has the name."""
    if isinstance(name.value, str) or name.value in family:
        try:
            return family.get(name.value)
        except UnknownNameError:
            pass
    known = family.names()
    problems.append(name.problem(f"a {family.family}, one of {listing(known)}", suggestion(str(name.plain()), known).strip()))
    return None
