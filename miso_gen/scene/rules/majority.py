"""Rule: one type has more cells than any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import Whole
from miso_gen.recipe.plugins import RULES, Evidence
from miso_gen.scene.fields import FieldRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plugins import Cell
    from miso_gen.rng import Stream

_TRIES = 10_000


@RULES.register("majority")
class Majority(FieldRule):
    """The label is the type with most cells, at least ``margin`` more than any other.

    Types are drawn independently and uniformly for all cells, again and again until one is ahead by the margin; then it changes
    names with the type of the label.

    ::

        rule: {type: majority, margin: 2}
    """

    margin: Annotated[int, Field(ge=2), Whole] = 2
    """How many cells the winning type is ahead at least."""

    def class_names(self, types: Sequence[str]) -> tuple[str, ...]:
        """See :class:`FieldRule`."""
        return tuple(types)

    def evidence(self, models: Mapping[str, type[Cell]]) -> Evidence:
        """See :class:`FieldRule`. Every image may hold every type."""
        return "arrangement"

    def check(self, types: Sequence[str]) -> None:
        """See :class:`FieldRule`."""

    def label(self, counts: Mapping[str, int]) -> int | None:
        """See :class:`FieldRule`; None where no type is ahead by the margin. ``counts`` names every type, by label."""
        numbers = list(counts.values())
        first, second = sorted(numbers, reverse=True)[:2]
        return numbers.index(first) if first - second >= self.margin else None

    def telling(self, label: int, types: Sequence[str]) -> frozenset[str]:
        """See :class:`FieldRule`."""
        return frozenset({types[label]})

    def assign(self, label: int, types: Sequence[str], count: int, stream: Stream) -> NDArray[np.int64]:
        """See :class:`FieldRule`."""
        if count >= self.margin:
            for tries in range(_TRIES):
                out = stream.at(tries).integers(0, len(types), count)
                leader = self.label(dict(enumerate(np.bincount(out, minlength=len(types)).tolist())))  # type: ignore[arg-type]
                if leader is not None:
                    names = np.arange(len(types))
                    names[[label, leader]] = names[[leader, label]]
                    return names[out]
        raise RecipeError(
            f"margin must be one that {count} cells of {len(types)} types often reach, got {self.margin}, which they did not in "
            f"{_TRIES} tries. Use a smaller margin, or more cells."
        )
