"""What rules of cell fields must be able to do, and what they share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from miso_gen.errors import RecipeError, listing
from miso_gen.recipe.plugins import CELLS, Evidence, Rule
from miso_gen.scene.figures import DrawnCell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plugins import Cell
    from miso_gen.rng import Stream


def _cell_name(value: Any) -> Any:
    if value not in CELLS:
        raise PydanticCustomError("expected", f"a cell, one of {listing(CELLS.names())}")
    return CELLS.get(value).type_name


CellName = Annotated[str, BeforeValidator(_cell_name)]  #: name of a type of cell; numbers 0 to 9 stand for the published ones


class FieldRule(Rule):
    """A rule about the cells of an image.

    Whatever it draws comes from the stream that all images of a group share, so that they differ in what the label needs.
    """

    @abstractmethod
    def class_names(self, types: Sequence[str]) -> tuple[str, ...]:
        """Return class names by label, for an image with cells of these types."""

    @abstractmethod
    def evidence(self, models: Mapping[str, type[Cell]]) -> Evidence:
        """Return what makes labels true: an arrangement where the types share a part."""

    @abstractmethod
    def check(self, types: Sequence[str]) -> None:
        """Raise :class:`~miso_gen.errors.RecipeError` where the rule can't be applied to these types."""

    @abstractmethod
    def label(self, counts: Mapping[str, int]) -> int | None:
        """Return the label of an image with so many cells of each type; None where the rule does not decide."""

    @abstractmethod
    def telling(self, label: int, types: Sequence[str]) -> frozenset[str]:
        """Return the types whose discriminative parts are evidence in an image of a label."""

    @abstractmethod
    def assign(self, label: int, types: Sequence[str], count: int, stream: Stream) -> NDArray[np.int64]:
        """Return the type of each of ``count`` cells by its number in ``types``, so that the label is true.

        Raises:
            RecipeError: There are too few cells.
        """

    def multi_hot(self, label: int) -> tuple[int, ...] | None:
        """Return the label as a multi-hot vector; None where it is a plain one."""
        return None


def strangers(names: Sequence[str], models: Mapping[str, type[Cell]]) -> bool:
    """Return whether another type has a part that tells one of these types."""
    drawn = {name: model for name, model in models.items() if issubclass(model, DrawnCell)}
    return any(
        drawn[name].tells & other.draws
        for name in names
        if name in drawn
        for other_name, other in drawn.items()
        if other_name != name
    )


def require_others(rule: str, names: Sequence[str], types: Sequence[str]) -> None:
    """Raise :class:`RecipeError` unless all of the rule's types are in the field, and another one besides."""
    for name in names:
        if name not in types:
            raise RecipeError(f"rule {rule}: cells of the field must hold its types, {name!r} is not in {listing(types)}.")
    if set(types) <= set(names):
        raise RecipeError(f"rule {rule}: cells of the field must hold a type besides its own, got {listing(types)} only.")


def shuffled(stream: Stream, count: int) -> NDArray[np.intp]:
    """Return the numbers 0 .. count - 1 in random order, from branch 0 of a stream."""
    return np.argsort(stream.at(0).raw(count), kind="stable")
