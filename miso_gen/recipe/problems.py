"""What is wrong with a recipe, in words: where, what was expected, what came, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from miso_gen.errors import RecipeError, listing, suggestion

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

KeyPath: TypeAlias = tuple[str | int, ...]

NOTHING: Final = object()  #: stands for a value that is not there
LIMIT: Final = 10  #: problems listed in one message

_EXPECTED: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "string_too_short": "text of at least {min_length} characters",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "missing": "given",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: KeyPath
    expected: str  #: completes "<path> must be ...", or is a sentence with "must" of its own
    value: Any = NOTHING
    advice: str = ""  #: one sentence or more, or nothing
    place: str = ""  #: file and line, where known
    said: str = ""  #: a whole sentence, in place of "<path> must be <expected>, got <value>. <advice>"

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        if self.said:
            return f"{where}{path_text(self.path)}: {self.said}"
        got = "nothing" if self.value is NOTHING else shown(self.value)
        what = path_text(self.path)
        rule = f"{what}: {self.expected}" if " must " in self.expected else f"{what} must be {self.expected}"
        return f"{where}{rule}, got {got}." + (f" {self.advice}" if self.advice else "")


def report(problems: Iterable[Problem]) -> RecipeError:
    """Return one error that lists the problems, each once, cut after :data:`LIMIT`."""
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    if len(lines) > LIMIT:
        lines[LIMIT:] = [f"... and {len(lines) - LIMIT} more."]
    return RecipeError("\n".join(lines))


def path_text(path: KeyPath) -> str:
    """Return a key path as text: ``scenarios[1].radius_px``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".") or "the recipe"


def shown(value: Any, limit: int = 80) -> str:
    """Return a value as YAML would have it on one line, cut after ``limit`` characters."""
    text = _flow(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _flow(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return repr(value)


def unknown_key(path: KeyPath, value: Any, known: Iterable[str], place: str = "") -> Problem:
    """Return the problem of a key that nothing reads; ``path`` ends with it."""
    names = list(known)
    key = str(path[-1])
    return Problem(path, f"one of the keys {listing(names)}", key, f"Its value is {shown(value)}.{suggestion(key, names)}", place)


def number_advice(value: Any) -> str:
    """Return what to do about text where a number should be, or nothing."""
    if not isinstance(value, str):
        return ""
    if re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", value):
        mantissa, exponent = re.split("[eE]", value)
        sign = exponent if exponent[0] in "+-" else f"+{exponent}"
        return f"YAML reads {value} as text: write {mantissa}.0e{sign}."
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
        return f"Write {value} as YAML writes numbers, without quotes" + (", as in 1.0e-4." if "e" in value.lower() else ".")
    return ""


def problems_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[Problem]:
    """Return the problems that a validation error of pydantic holds; ``model`` names the known keys."""
    found = error.errors(include_url=False)
    inner = {tuple(item["loc"][:-1]) for item in found if item["loc"]}  # a list with a bad item is also called too short
    return [_problem(item, model) for item in found if not (item["type"] == "too_short" and tuple(item["loc"]) in inner)]


def _problem(item: ErrorDetails, model: type[BaseModel] | None) -> Problem:
    path, value, kind = tuple(item["loc"]), item["input"], item["type"]
    if kind == "extra_forbidden":
        return unknown_key(path, value, model.model_fields if model is not None and len(path) == 1 else ())
    if kind == "missing":
        return Problem(path, "given")
    if kind == "string_pattern_mismatch":
        return Problem(path, f"text that matches {item['ctx']['pattern']}", value)
    expected = _EXPECTED.get(kind, "").format(**item.get("ctx", {})) or _said(item["msg"])
    advice = number_advice(value) if kind in {"int_type", "float_type"} else ""
    if kind == "literal_error" and isinstance(value, str):
        advice = suggestion(value, re.findall(r"'([^']*)'", expected)).strip()
    return Problem(path, expected, value, advice)


def _said(message: str) -> str:
    """Return a validator's own message as what was expected."""
    return message.removeprefix("Value error, ").removeprefix("must be ").rstrip(".")
