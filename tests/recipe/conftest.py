"""Small plug-ins of the tests' own: the recipe room needs no scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import model_validator

from miso_gen.errors import RecipeError
from miso_gen.recipe import (
    BACKGROUNDS,
    DEFORMATIONS,
    MORPHOLOGIES,
    POINTS,
    SCENARIOS,
    Background,
    Case,
    Deformation,
    ImagePlan,
    Morphologies,
    PointProcess,
    Recipe,
    Scenario,
    Variant,
    load_recipe,
)
from miso_gen.recipe.parameters import OneOf, PositiveInt, Range, UnitInterval, chosen, drawn


class Shapes(Morphologies):
    """Silhouettes a, b, c ..., the reference is b."""

    count: PositiveInt = 3

    def names(self) -> tuple[str, ...]:
        return tuple("abcdefghijklmnopqrstuvwxyz"[: self.count])

    @property
    def reference(self) -> str:
        return "b"


class Noise(Background):
    """Noise."""

    probability: UnitInterval = 0.5
    """Chance of a 1."""


class Grey(Background):
    """One grey."""

    revision = 3

    value: UnitInterval = drawn(uniform=(0.25, 0.75))


class Lattice(PointProcess):
    """Points on a lattice."""

    step_px: PositiveInt = 10


class Bend(Deformation):
    """A bend."""

    turns: PositiveInt = 1
    axis: Literal["x", "y"] = "x"
    strength: float = 0.5

    @property
    def label(self) -> str:
        return f"bend-{self.axis}-{self.turns}"


class Silhouettes(Scenario):
    evidence = "object"
    classes = ("no", "yes")

    morphologies: Annotated[Morphologies, OneOf(MORPHOLOGIES)] = chosen("shapes")
    background: Annotated[Background, OneOf(BACKGROUNDS)] = chosen({"type": "noise", "probability": 0.25})
    fuzz: UnitInterval = 0.0
    """How many pixels are flipped."""


class Flat(Silhouettes):
    """Case by case, label 1 first."""

    hot: Range = (0.6, 1.0)
    mode: Literal["plain", "fancy"] = "plain"
    flag: bool = False

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        return self.pairs(cases, morphologies, labels=(1, 0), major="case")


class Dots(Silhouettes):
    """Shape by shape, label 0 first."""

    shortcuts: ClassVar[tuple[str, ...]] = ("size",)

    radius_px: PositiveInt = drawn(uniform=(100, 300))
    """Radius of the dot."""
    centre: tuple[UnitInterval, UnitInterval] = (0.25, 0.75)
    weight: float = 1.0
    points: Annotated[PointProcess, OneOf(POINTS)] = chosen("lattice")

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        return self.pairs(cases, morphologies, labels=(0, 1), major="shape")

    def check(self, plan: ImagePlan) -> None:
        if self.radius_px > 4 * plan.canvas.height:
            raise RecipeError(f"radius_px must be at most {4 * plan.canvas.height}, got {self.radius_px}. Use a larger canvas.")


class Bends(Silhouettes):
    """The reference, and its deformations: no pairs."""

    low: float = 0.0
    high: float = 1.0
    deformed_fuzz: UnitInterval = 0.1
    deformations: tuple[Annotated[Deformation, OneOf(DEFORMATIONS)], ...] = chosen(["bend", {"type": "bend", "turns": 3}])

    @model_validator(mode="after")
    def _ordered(self) -> Bends:
        if self.low >= self.high:
            raise ValueError("low must be less than high.")
        return self

    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        for case in cases:
            yield Variant(0, case, self.morphologies.reference)
        for index in range(len(self.deformations)):
            yield Variant(
                1, cases[0], self.morphologies.reference, settings={"deformation": index}, overrides={"fuzz": self.deformed_fuzz}
            )


FAKES: dict[Any, dict[str, type[Any]]] = {
    SCENARIOS: {"flat": Flat, "dots": Dots, "bends": Bends},
    MORPHOLOGIES: {"shapes": Shapes},
    BACKGROUNDS: {"noise": Noise, "grey": Grey},
    POINTS: {"lattice": Lattice},
    DEFORMATIONS: {"bend": Bend},
}


@pytest.fixture(scope="module")
def fakes() -> Iterator[None]:
    """Put the fakes in the place of all real plug-ins."""
    with pytest.MonkeyPatch.context() as patch:
        for registry, members in FAKES.items():
            patch.setattr(registry, "_members", dict(members))
            patch.setattr(registry, "_aliases", {})
            patch.setattr(registry, "_discovered", True)
            for name, member in members.items():
                member.type_name = name
        yield


HEAD = {"schema": 1, "name": "test", "canvas": {"shape": [128, 128]}, "splits": ["train", "test"], "seed": 7}


@pytest.fixture(scope="module")
def recipe_of(fakes: None) -> Any:
    """Return a function: scenarios, and other keys -> Recipe."""

    def make(*scenarios: Any, **others: Any) -> Recipe:
        return load_recipe({**HEAD, **others, "scenarios": list(scenarios)})

    return make


@pytest.fixture(scope="module")
def complaint(fakes: None) -> Any:
    """Return a function: scenarios, and other keys -> the message of the error."""

    def make(*scenarios: Any, **others: Any) -> str:
        with pytest.raises(RecipeError) as caught:
            load_recipe({**HEAD, **others, "scenarios": list(scenarios)})
        return str(caught.value)

    return make
