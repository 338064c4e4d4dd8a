"""Parameters of a plug-in: a frozen, strict pydantic model whose numbers may be drawn by a recipe.

A plug-in sees plain numbers only. What a recipe may write in their place (draws, enumerations) is resolved before the
plug-in exists; a field made by :func:`drawn` has a draw as its default, a field made by :func:`chosen` another plug-in::

    radius_px: PositiveInt = drawn(uniform=(100, 300))
    background: Annotated[Background, OneOf(BACKGROUNDS)] = chosen("salt-and-pepper")
    deformations: tuple[Annotated[Deformation, OneOf(DEFORMATIONS)], ...] = chosen([{"type": "sine", "cycles": 3}])

Types are strict: true is not a number and "1e-4" is a string. Whole numbers may stand for floats, and 3.0 for 3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError, core_schema

from miso_gen.recipe.problems import problems_of, report

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from miso_gen.registry import Registry


class Spec(dict[str, Any]):
    """Plain data that nobody changes: handed on as it is, where other data is copied."""

    @cached_property
    def text(self) -> str:
        """The data as canonical JSON."""
        return json.dumps(self, sort_keys=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Spec, (dict(self),)


def frozen(value: Any) -> Any:
    """Return the value with every list in it, at any depth, as a tuple."""
    if isinstance(value, Spec):
        return value
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    """Return the value as JSON-able data: parameters as dicts, plug-ins with their ``type``, tuples as lists."""
    if isinstance(value, str | int | float | Spec):
        return value
    if hasattr(value, "to_spec"):
        return value.to_spec()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


class Parameters(BaseModel):
    """Base of every plug-in and of every block of parameters in one. Fields hold scalars, tuples and plug-ins."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        return frozen(data) if isinstance(data, Mapping) else data

    def to_spec(self) -> dict[str, Any]:
        """Return every field as plain JSON-able data."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the parameters of a dict of plain values.

        Raises:
            RecipeError: A key is unknown or missing, or a value is not what its field takes.
        """
        try:
            return cls.model_validate(dict(spec))
        except ValidationError as error:
            raise report(problems_of(error, cls)) from None


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _increasing(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise PydanticCustomError("expected", "two numbers, the lower first")
    return value


Whole = BeforeValidator(_whole)  #: takes 3.0 for 3; stands after the limits of an int, so that the JSON schema has them
Integer = Annotated[int, Whole]
PositiveInt = Annotated[int, Field(gt=0), Whole]
NonNegativeInt = Annotated[int, Field(ge=0), Whole]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
UnitInterval = Annotated[float, Field(ge=0, le=1)]
Probability = UnitInterval
Range = Annotated[tuple[UnitInterval, UnitInterval], AfterValidator(_increasing)]


def drawn(**draw: Any) -> Any:
    """Declare a field whose default is a draw: ``drawn(uniform=(100, 300))``, ``drawn(normal=(5, 1))``, ``drawn(choice=...)``.

    The plug-in has no default then: whoever makes one directly must give a number; a recipe draws it.
    """
    if len(draw) != 1 or not draw.keys() <= {"uniform", "normal", "choice", "each"}:
        raise TypeError(f"a drawn field must have one of uniform, normal, choice, each, got {sorted(draw)}.")
    return Field(json_schema_extra={"default": plain(draw)})


def chosen(default: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> Any:
    """Declare a plug-in field with its default: a name, a dict with ``type``, or a list of these for a tuple."""
    return Field(default=frozen(default) if isinstance(default, list | tuple) else default)


class OneOf:
    """Annotation of a field that holds a plug-in of one family, chosen by ``type``.

    Accepts ``{"type": name, ...}``, a bare name, or an instance.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate, serialization=core_schema.plain_serializer_function_ser_schema(plain)
        )

    def validate(self, value: Any) -> Any:
        """Return the plug-in that a value stands for.

        Raises:
            UnknownNameError: No plug-in of the family has the name.
            RecipeError: Its parameters are wrong.
        """
        if isinstance(value, str) or (isinstance(value, int) and value in self.registry):
            value = {"type": value}
        if isinstance(value, Mapping):
            if not isinstance(value.get("type"), str) and value.get("type") not in self.registry:
                raise PydanticCustomError("expected", f"a {self.registry.family}: a name, or {{type: name, ...}}")
            return self.registry.get(value["type"]).from_spec(value)
        if any(type(value) is member for _, member in self.registry):
            return value
        raise PydanticCustomError("expected", f"a {self.registry.family}: a name, or {{type: name, ...}}")
