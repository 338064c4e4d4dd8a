"""Values that a recipe may draw or enumerate.

::

    {uniform: [a, b]}       a <= v < b; whole numbers where the field takes these
    {normal: [mean, std]}   rounded half up where the field is whole; redrawn while the field does not take it
    {choice: [...]}         one of the values, with equal chance
    {each: [...]}           all of them, one after the other
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from pydantic import ValidationError

from miso_gen.errors import RecipeError, suggestion
from miso_gen.recipe.problems import Problem, number_advice, problems_of

if TYPE_CHECKING:
    from miso_gen.recipe.slots import Slot
    from miso_gen.recipe.source import Item
    from miso_gen.rng import Stream

Kind: TypeAlias = Literal["uniform", "normal", "choice", "each"]

KINDS: Final = ("uniform", "normal", "choice", "each")
FORMS: Final = "{uniform: [a, b]}, {normal: [mean, std]}, {choice: [...]} or {each: [...]}"
REDRAWS: Final = 1000  #: normal draws tried before giving up
_WIDEST: Final = 2**32  #: whole numbers in one uniform draw


@dataclass(frozen=True, slots=True)
class Draw:
    """A value to be drawn, or enumerated."""

    kind: Kind
    arguments: tuple[Any, ...]

    def plain(self) -> dict[str, Any]:
        """Return the draw as a recipe writes it."""
        return {self.kind: list(self.arguments)}

    def value(self, slot: Slot, stream: Stream, key: str) -> Any:
        """Return a value for the slot; ``key`` names it in messages.

        Raises:
            RecipeError: No normal draw was one that the field takes.
        """
        if self.kind == "uniform":
            low, high = self.arguments
            return stream.integer(low, high) if slot.whole else stream.uniform(low, high)
        if self.kind == "normal":
            return self._normal(slot, stream, key)
        return self.arguments[stream.integer(0, len(self.arguments))]

    def _normal(self, slot: Slot, stream: Stream, key: str) -> Any:
        mean, std = self.arguments
        for _ in range(REDRAWS):
            value = stream.normal(mean, std)
            candidate = floor(value + 0.5) if slot.whole else value
            if slot.takes(candidate):
                return candidate
        raise RecipeError(
            f"{key} must be a normal draw that often falls in its range, got normal: [{mean}, {std}], "
            f"which did not in {REDRAWS} tries. Move the mean into the range."
        )


def is_draw(item: Item) -> bool:
    """Return whether an item is meant as a draw."""
    return isinstance(item.value, dict) and any(kind in item.value for kind in KINDS)


def draw_of(item: Item, slot: Slot, problems: list[Problem]) -> Draw | None:
    """Return the draw that an item writes; what is wrong with it goes to ``problems``."""
    if len(item.value) != 1:
        problems.append(item.problem(f"one draw, {FORMS}"))
        return None
    kind, given = next(iter(item.value.items()))
    if kind in ("uniform", "normal"):
        ends = _two_numbers(given, kind, slot, problems)
        return Draw(kind, ends) if ends is not None else None
    if not isinstance(given.value, list) or not given.value:
        problems.append(given.problem("a list of one value or more"))
        return None
    values = [_taken(option, slot, problems) for option in given.value]
    return Draw(cast("Kind", kind), tuple(values))


def draw_advice(value: dict[str, Any]) -> str:
    """Return what may have been meant by a mapping where a scalar should be."""
    return next((near for key in value if (near := suggestion(str(key), KINDS))), "").strip() or f"A value may be drawn: {FORMS}."


def _two_numbers(given: Item, kind: Literal["uniform", "normal"], slot: Slot, problems: list[Problem]) -> tuple[Any, Any] | None:
    names = "[a, b]" if kind == "uniform" else "[mean, std]"
    if not slot.number:
        problems.append(Problem(given.path[:-1], "given, or drawn by choice or each", {kind: given.plain()}, place=given.place))
        return None
    if not isinstance(given.value, list) or len(given.value) != 2:
        problems.append(given.problem(f"two numbers, {names}"))
        return None
    bad = [item for item in given.value if not _is_number(item.value)]
    problems.extend(item.problem("a finite number", number_advice(item.value)) for item in bad)
    if bad:
        return None
    first, second = (item.value for item in given.value)
    if kind == "normal":
        if second < 0:
            problems.append(given.value[1].problem("a standard deviation of at least 0"))
            return None
        return float(first), float(second)
    return _uniform_ends(given, slot, problems)


def _uniform_ends(given: Item, slot: Slot, problems: list[Problem]) -> tuple[Any, Any] | None:
    low, high = given.value
    if slot.whole:
        fractions = [item for item in given.value if item.value != int(item.value)]
        problems.extend(item.problem("a whole number, as the value it draws") for item in fractions)
        if fractions:
            return None
    if not low.value < high.value:
        problems.append(given.problem("two numbers, the lower first"))
        return None
    if slot.whole and high.value - low.value > _WIDEST:
        problems.append(given.problem(f"a range of at most {_WIDEST} whole numbers"))
        return None
    before = len(problems)
    first = _taken(low, slot, problems)
    last = int(high.value) - 1 if slot.whole else high.value  # the upper end itself is never drawn
    _taken(type(high)(last, high.path, high.place), slot, problems)
    if len(problems) > before:
        return None
    return (first, int(high.value)) if slot.whole else (float(low.value), float(high.value))


def _taken(item: Item, slot: Slot, problems: list[Problem]) -> Any:
    """Return the value as the slot has it; where it does not take it, say so."""
    try:
        return slot.valid(item.plain())
    except ValidationError as error:
        problems.extend(located(error, item))
        return None


def located(error: ValidationError, item: Item) -> list[Problem]:
    """Return the problems of a validation error, each at the item that it speaks of."""
    found = []
    for problem in problems_of(error):
        there = item.at(problem.path)
        advice = problem.advice or (draw_advice(problem.value) if isinstance(problem.value, dict) else "")
        path = there.path if problem.expected != "given" else (*item.path, *problem.path)
        found.append(Problem(path, problem.expected, problem.value, advice, there.place))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
