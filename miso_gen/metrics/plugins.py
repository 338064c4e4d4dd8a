"""Plug-ins as people write them: a name, a dict with ``type``, or the plug-in itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from miso_gen.errors import InputError
from miso_gen.recipe.plugins import Plugin

if TYPE_CHECKING:
    from miso_gen.registry import Registry

T = TypeVar("T", bound=Plugin)


def plugin_of(value: str | Mapping[str, Any] | T, registry: Registry[T]) -> T:
    """Return the plug-in of a family that a value stands for.

    Args:
        value: A name, ``{"type": name, ...}``, or a plug-in.
        registry: The family.

    Raises:
        UnknownNameError: The family has no such name.
        RecipeError: A parameter is wrong.
        InputError: The value is none of these.
    """
    if isinstance(value, str):
        value = {"type": value}
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return registry.get(value["type"]).from_spec(value)
    if any(type(value) is member for _, member in registry):
        return value  # type: ignore[return-value]  # no mapping
    raise InputError(f"{registry.family} must be a name or {{'type': name, ...}}, got {value!r}.")
