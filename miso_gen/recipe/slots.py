"""Where a value may stand in a recipe: the type of a field, or of one place in a list."""

from __future__ import annotations

from functools import cache, cached_property
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined

from miso_gen.recipe.parameters import OneOf, Parameters, frozen, plain
from miso_gen.recipe.problems import NOTHING
from miso_gen.recipe.prototype import EachOwn

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from miso_gen.registry import Registry


class Slot:
    """The type that a value must have, taken apart."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.type = annotation
        self.metadata: tuple[Any, ...] = ()
        while get_origin(self.type) is Annotated:
            self.metadata = (*get_args(self.type)[1:], *self.metadata)
            self.type = get_args(self.type)[0]

    @cached_property
    def family(self) -> Registry[Any] | None:
        """The registry, where the slot takes one plug-in."""
        return next((mark.registry for mark in reversed(self.metadata) if isinstance(mark, OneOf)), None)

    @cached_property
    def each_own(self) -> bool:
        """Whether every object of an image draws the numbers of the plug-in for itself."""
        return any(isinstance(mark, EachOwn) for mark in self.metadata)

    @cached_property
    def block(self) -> type[Parameters] | None:
        """The class, where the slot takes a block of parameters that is no plug-in."""
        kinds = [kind for kind in self._alternatives if kind is not type(None)]
        is_block = self.family is None and len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], Parameters)
        return kinds[0] if is_block else None

    @cached_property
    def holds_plugins(self) -> bool:
        """Whether plug-ins or blocks stand here or below."""
        return bool(self.family or self.block) or any(slot.holds_plugins for slot in self._inner)

    @cached_property
    def _alternatives(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) in (Union, UnionType) else (self.type,)

    @cached_property
    def whole(self) -> bool:
        """Whether numbers here are whole."""
        types = [Slot(kind).type for kind in self._alternatives]
        return int in types and float not in types

    @cached_property
    def number(self) -> bool:
        """Whether numbers may stand here."""
        return any(Slot(kind).type in (int, float) for kind in self._alternatives)

    @cached_property
    def _inner(self) -> tuple[Slot, ...]:
        if get_origin(self.type) is not tuple:
            return ()
        return tuple(Slot(kind) for kind in get_args(self.type) if kind is not Ellipsis)

    @cached_property
    def variadic(self) -> bool:
        """Whether the slot takes a list of any length."""
        return get_origin(self.type) is tuple and Ellipsis in get_args(self.type)

    @property
    def listed(self) -> bool:
        """Whether the slot takes a list."""
        return get_origin(self.type) is tuple

    def child(self, index: int) -> Slot:
        """Return the slot of a place in the list; one that takes anything beyond its end."""
        if self.variadic:
            return self._inner[0]
        return self._inner[index] if index < len(self._inner) else Slot(Any)

    @property
    def children(self) -> tuple[Slot, ...]:
        """The slots of the list: one per place, or one for all."""
        return self._inner

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The validator of the slot."""
        if self.block or self.family:
            return TypeAdapter(self.annotation)
        return TypeAdapter(self.annotation, config=ConfigDict(strict=True, allow_inf_nan=False))

    def valid(self, value: Any) -> Any:
        """Return the value as plain data of the right type (1 as 1.0 where floats stand).

        Raises:
            ValidationError: It is not what stands here.
        """
        return plain(self.adapter.validate_python(frozen(value)))

    def takes(self, value: Any) -> bool:
        """Return whether the value may stand here."""
        try:
            self.adapter.validate_python(frozen(value))
        except ValidationError:
            return False
        return True


@cache
def slots(model: type[Parameters]) -> dict[str, Slot]:
    """Return the slot of every field, in order."""
    return {name: Slot(_annotation(info)) for name, info in model.model_fields.items()}


def default(model: type[Parameters], field: str) -> Any:
    """Return the default of a field as a recipe would write it (it may be a draw), or :data:`NOTHING`."""
    info = model.model_fields[field]
    extra = info.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return extra["default"]
    value = info.get_default(call_default_factory=True, validated_data={})
    return NOTHING if value is PydanticUndefined else plain(value)


def _annotation(info: FieldInfo) -> Any:
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
