"""What scenarios of cells have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from miso_gen.errors import RecipeError, listing
from miso_gen.recipe.counts import CountedScenario
from miso_gen.recipe.parameters import chosen
from miso_gen.recipe.plugins import BACKGROUNDS, CELLS, Background, Cell
from miso_gen.recipe.prototype import EachOwn, Prototype
from miso_gen.scene.figures import Edges
from miso_gen.scene.interfaces import SceneScenario

if TYPE_CHECKING:
    from miso_gen.recipe.plan import ImagePlan

EachOwnCells = Annotated[tuple[Annotated[Prototype[Cell], EachOwn(CELLS)], ...], Field(min_length=2)]


class CellScenario(CountedScenario, SceneScenario):
    """A scenario of cells on backgrounds that take turns."""

    cells: EachOwnCells
    """The types."""

    backgrounds: Annotated[tuple[Annotated[Prototype[Background], EachOwn(BACKGROUNDS)], ...], Field(min_length=1)] = chosen(
        ("black", "color-field", "rings")
    )
    """The backgrounds, which take turns; a group of images has one of them."""

    edges: Edges = "soft"
    """Whether outlines fade over about a pixel, or a pixel shows what its centre is inside of."""

    @property
    def types(self) -> tuple[str, ...]:
        """Names of the types of cells."""
        return tuple(cell.model.type_name for cell in self.cells)

    def check(self, plan: ImagePlan) -> None:
        """See :class:`Scenario`."""
        if plan.canvas.channels != 3:
            raise RecipeError(
                f"{plan.scenario}: canvas.channels must be 3, as types differ in colour, got {plan.canvas.channels}."
            )
        if len(set(self.types)) < len(self.types):
            raise RecipeError(f"{plan.scenario}: cells must be of different types, got {listing(self.types)}.")

    def background_of(self, plan: ImagePlan) -> Prototype[Background]:
        """Return the background of an image."""
        number = plan.settings["background"]
        assert isinstance(number, int)
        return self.backgrounds[number]

    def backdrop(self, plan: ImagePlan) -> tuple[dict[str, Any], str]:
        """Return the arguments of :class:`Scene` for canvas and background, and the name of the background."""
        background = self.background_of(plan).sample(plan.stream("background", "numbers", shared=True))
        return self.on(background, plan), background.type_name
