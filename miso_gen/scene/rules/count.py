"""Rule: there are enough cells of a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import PositiveInt, Whole
from miso_gen.recipe.plugins import RULES, Evidence
from miso_gen.scene.fields import CellName, FieldRule, require_others, shuffled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plugins import Cell
    from miso_gen.rng import Stream


@RULES.register("count")
class Count(FieldRule):
    """Label 1 iff the image holds at least some number of cells of a type.

    Their number is uniform in ``at_least`` .. ``at_least + spread - 1`` for label 1, and in ``at_least - spread`` ..
    ``at_least - 1`` (not below 0) for label 0; the cells of label 0 are among those of label 1.

    ::

        rule: {type: count, cell: rect-red, at_least: 6}
    """

    cell: CellName
    """The type."""

    at_least: Annotated[int, Field(ge=2), Whole] = 6
    """The least number for label 1; for 1, see the rule ``present``."""

    spread: PositiveInt = 4
    """How far numbers go from the threshold."""

    def class_names(self, types: Sequence[str]) -> tuple[str, ...]:
        """See :class:`FieldRule`."""
        return f"few-{self.cell}", f"many-{self.cell}"

    def evidence(self, models: Mapping[str, type[Cell]]) -> Evidence:
        """See :class:`FieldRule`. Images of label 0 hold the type, too."""
        return "arrangement"

    def check(self, types: Sequence[str]) -> None:
        """See :class:`FieldRule`."""
        require_others("count", (self.cell,), types)

    def label(self, counts: Mapping[str, int]) -> int:
        """See :class:`FieldRule`."""
        return int(counts.get(self.cell, 0) >= self.at_least)

    def telling(self, label: int, types: Sequence[str]) -> frozenset[str]:
        """See :class:`FieldRule`."""
        return frozenset({self.cell} if label else ())

    def assign(self, label: int, types: Sequence[str], count: int, stream: Stream) -> NDArray[np.int64]:
        """See :class:`FieldRule`."""
        if count < self.at_least:
            raise RecipeError(
                f"points must leave at_least ({self.at_least}) cells, got {count}. "
                "Ask for more candidates_per_mpx, a smaller reach_px or a larger canvas."
            )
        order, others = shuffled(stream, count), [number for number, name in enumerate(types) if name != self.cell]
        out = np.array(others, np.int64)[stream.at(1).integers(0, len(others), count)]
        if label:
            some = stream.at(2).integer(self.at_least, min(self.at_least + self.spread, count + 1))
        else:
            some = stream.at(3).integer(max(0, self.at_least - self.spread), self.at_least)
        out[order[:some]] = types.index(self.cell)
        return out
