"""Plug-ins of which an image holds many: every object draws its own numbers.

A field of a scenario usually holds a plug-in with the numbers of one image. A field annotated with :class:`EachOwn` holds a
:class:`Prototype` instead: the plug-in as the recipe writes it, draws in their places, to be drawn anew for every object::

    cells: tuple[Annotated[Prototype[Cell], EachOwn(CELLS)], ...] = chosen(["cell", {"type": "tail-3", "tail_px": 12}])
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic_core import PydanticCustomError

from miso_gen.errors import listing
from miso_gen.recipe.parameters import OneOf, Spec, plain

if TYPE_CHECKING:
    from miso_gen.recipe.plugins import Plugin
    from miso_gen.recipe.template import Block
    from miso_gen.registry import Registry
    from miso_gen.rng import Stream

T = TypeVar("T", bound="Plugin")

_BRANCHES = 64  #: branches of a stream kept for the draws of one field


class Prototype(Generic[T]):
    """A plug-in whose numbers are drawn for each object. Equal, and of equal hash, iff their specs are.

    Args:
        registry: The family.
        spec: The plug-in as a recipe writes it, every field and the ``type`` included; not to be changed.

    Raises:
        RecipeError: Something in the spec is wrong.
    """

    def __init__(self, registry: Registry[T], spec: Mapping[str, Any]) -> None:
        self.registry = registry
        self.block = _block(registry, spec)
        self.spec = Spec(self.block.plain())

    @property
    def model(self) -> type[T]:
        """The class of the plug-in."""
        return self.registry.get(self.spec["type"])

    def sample(self, stream: Stream) -> T:
        """Return the plug-in with its numbers drawn.

        Every draw has a branch of the stream to itself, told by its field: giving one field a value leaves the others alone.
        """
        block = self.block
        places = {name: number * _BRANCHES for number, name in enumerate(block.model.model_fields)}
        values = {}
        for key, drawn in block.draws():
            field = key.partition(".")[0].partition("[")[0]
            values[key] = drawn.draw.value(drawn.slot, stream.at(places[field]), key)
            places[field] += 1
        return self.model.from_spec(block.filled(values))

    def to_spec(self) -> Spec:
        """Return the spec, draws in their places; not to be changed."""
        return self.spec

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prototype) and self.spec.text == other.spec.text and self.registry.family == other.registry.family
        )

    def __hash__(self) -> int:
        return hash(self.spec.text)

    def __repr__(self) -> str:
        return f"Prototype({self.spec.text})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _known, (self.registry.package, self.spec.text)


class EachOwn(OneOf):
    """Annotation of a field that holds a :class:`Prototype` of one family."""

    def __init__(self, registry: Registry[Any]) -> None:
        super().__init__(registry)
        _FAMILIES[registry.package] = registry

    def validate(self, value: Any) -> Any:
        """Return the prototype that a name, a mapping or a prototype stands for."""
        if isinstance(value, Prototype):
            return value
        if isinstance(value, Spec):
            return _known(self.registry.package, value.text)
        spec = plain(value if isinstance(value, Mapping) else {"type": value})
        if spec.get("type") not in self.registry:
            raise PydanticCustomError("expected", f"a {self.registry.family}, one of {listing(self.registry.names())}")
        return _known(self.registry.package, json.dumps(spec, sort_keys=True))


_FAMILIES: dict[str, Registry[Any]] = {}


@lru_cache(maxsize=1024)
def _known(family: str, text: str) -> Prototype[Any]:
    """Return the prototype of a spec; kept, for every image of a scenario asks for the same ones."""
    return Prototype(_FAMILIES[family], json.loads(text))


def _block(registry: Registry[Any], spec: Mapping[str, Any]) -> Block:
    from miso_gen.recipe.problems import Problem, report
    from miso_gen.recipe.source import item_of
    from miso_gen.recipe.template import compile_block

    problems: list[Problem] = []
    block = compile_block(registry.get(spec["type"]), item_of(spec), problems, known=("type",))
    if block is None:
        raise report(problems)
    return block
