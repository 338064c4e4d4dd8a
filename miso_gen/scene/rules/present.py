"""Rule: cells of a type are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator, Field

from miso_gen.errors import RecipeError
from miso_gen.recipe.entry import different
from miso_gen.recipe.parameters import PositiveInt
from miso_gen.recipe.plugins import RULES, Evidence
from miso_gen.scene.fields import CellName, FieldRule, require_others, shuffled, strangers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miso_gen.recipe.plugins import Cell
    from miso_gen.rng import Stream


@RULES.register("present")
class Present(FieldRule):
    """Label 1 iff the image holds a cell of a type. Of several types each is there or not: the label is multi-hot.

    The bits of the label say which: with ``cells: [tail-3, rect-red]``, label 2 is 10 in binary, rect-red without tail-3. The
    number of cells of a type that is there is uniform in 1 .. ``most``; all other cells are of types the rule does not speak of.

    ::

        rule: {type: present, cells: [tail-3], most: 8}
    """

    cells: Annotated[tuple[CellName, ...], Field(min_length=1, max_length=6), AfterValidator(different)]
    """The types."""

    most: PositiveInt = 8
    """Greatest number of cells of a type that is there."""

    def class_names(self, types: Sequence[str]) -> tuple[str, ...]:
        """See :class:`FieldRule`."""
        if len(self.cells) == 1:
            return f"no-{self.cells[0]}", self.cells[0]
        every = range(2 ** len(self.cells))
        return tuple("-and-".join(self._of(label)) or "none" for label in every)

    def _of(self, label: int) -> tuple[str, ...]:
        return tuple(name for bit, name in enumerate(self.cells) if label >> bit & 1)

    def evidence(self, models: Mapping[str, type[Cell]]) -> Evidence:
        """See :class:`FieldRule`."""
        return "arrangement" if strangers(self.cells, models) else "object"

    def check(self, types: Sequence[str]) -> None:
        """See :class:`FieldRule`."""
        require_others("present", self.cells, types)

    def label(self, counts: Mapping[str, int]) -> int:
        """See :class:`FieldRule`."""
        return sum(1 << bit for bit, name in enumerate(self.cells) if counts.get(name, 0) > 0)

    def multi_hot(self, label: int) -> tuple[int, ...] | None:
        """See :class:`FieldRule`."""
        return tuple(label >> bit & 1 for bit in range(len(self.cells))) if len(self.cells) > 1 else None

    def telling(self, label: int, types: Sequence[str]) -> frozenset[str]:
        """See :class:`FieldRule`."""
        return frozenset(self._of(label))

    def assign(self, label: int, types: Sequence[str], count: int, stream: Stream) -> NDArray[np.int64]:
        """See :class:`FieldRule`."""
        room = count // len(self.cells)
        if room < 1:
            raise RecipeError(
                f"points must leave {len(self.cells)} cells at least, one for each type of the rule, got {count}. "
                "Ask for more candidates_per_mpx, a smaller reach_px or a larger canvas."
            )
        order, others = shuffled(stream, count), [number for number, name in enumerate(types) if name not in self.cells]
        out = np.array(others, np.int64)[stream.at(1).integers(0, len(others), count)]
        for bit, name in enumerate(self.cells):
            some = stream.at(2 + bit).integer(1, min(self.most, room) + 1)
            if label >> bit & 1:
                out[order[bit * room : bit * room + some]] = types.index(name)
        return out
