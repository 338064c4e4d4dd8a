"""Which images a recipe makes, as pure data, before any pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from miso_gen.errors import RecipeError
from miso_gen.recipe.entry import ScenarioEntry
from miso_gen.recipe.model import Canvas, Recipe
from miso_gen.recipe.plugins import Case, Scalar, Scenario, Variant
from miso_gen.recipe.template import Drawn, example

if TYPE_CHECKING:
    from miso_gen.rng import Stream


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image: all that its scene needs to know."""

    id: str  #: ``gsp/test/0007``: scenario, split, number from 1
    scenario: str  #: name of the entry in the recipe
    type: str  #: name of the plug-in
    split: str
    label: int
    class_name: str
    pair: str | None  #: ``gsp/test/p0004``: equal for the images that differ in the label only
    morphology: str | None
    canvas: Canvas
    seed: int
    spec: Mapping[str, Any]  #: the plug-in with every number drawn, for ``SCENARIOS.get(type).from_spec(spec)``
    settings: Mapping[str, Scalar] = field(default_factory=dict)  #: what the scenario decided for this image
    params: Mapping[str, Any] = field(default_factory=dict)  #: every drawn or enumerated value by key, and the settings

    @property
    def number(self) -> str:
        """The last part of the id, ``0007``."""
        return self.id.rpartition("/")[2]

    def address(self, *thing: str | int, shared: bool) -> tuple[str | int, ...]:
        """Return the random address of a thing.

        ``shared`` things have one address for both images of a pair (the image's own, where there is no pair).
        """
        unit = self.pair.rpartition("/")[2] if shared and self.pair is not None else self.number
        return (self.seed, self.scenario, self.split, unit, *thing)

    def stream(self, *thing: str | int, shared: bool) -> Stream:
        """Return the random stream of a thing."""
        from miso_gen.rng import Stream

        return Stream(*self.address(*thing, shared=shared))


def plan_images(recipe: Recipe) -> tuple[ImagePlan, ...]:
    """Return every image of a recipe: scenario by scenario, split by split, in index order.

    Raises:
        RecipeError: A scenario can't work with its numbers on this canvas.
    """
    return tuple(plan for entry in recipe.scenarios for split in recipe.splits for plan in _split(recipe, entry, split))


def _split(recipe: Recipe, entry: ScenarioEntry, split: str) -> Iterator[ImagePlan]:
    scenario = entry.model.from_spec(example(entry.block))
    draws = dict(entry.block.draws())
    empty = True
    still = None if draws else _still(entry)
    try:
        shapes = scenario.shapes_in(split, recipe.splits)
    except RecipeError as error:
        raise RecipeError(f"{entry.name}: {error}") from None
    variants = scenario.variants(_cases(draws), shapes)
    for number, variant in enumerate(islice(variants, scenario.images_in(split)), 1):
        if variant.label in entry.labels:
            empty = False
            yield _image(recipe, entry, split, number, variant, draws, still)
    if empty:
        raise RecipeError(f"{entry.name}: the scenario must have an image in every split, got none in {split!r}.")


def _still(entry: ScenarioEntry) -> tuple[Scenario, dict[str, Any]]:
    """Return the plug-in and its spec where no image draws or enumerates anything: one for all of them."""
    scenario = entry.model.from_spec(entry.block.filled({}))
    return scenario, scenario.to_spec()


def _cases(draws: Mapping[str, Drawn]) -> tuple[Case, ...]:
    """Return the enumerated combinations: the fields in the order of the class, the last varies fastest."""
    each = {key: drawn.draw.arguments for key, drawn in draws.items() if drawn.draw.kind == "each"}
    return tuple(Case(index, dict(zip(each, values, strict=True))) for index, values in enumerate(product(*each.values())))


def _image(
    recipe: Recipe,
    entry: ScenarioEntry,
    split: str,
    number: int,
    variant: Variant,
    draws: Mapping[str, Drawn],
    still: tuple[Scenario, dict[str, Any]] | None,
) -> ImagePlan:
    base = f"{entry.name}/{split}"
    pair = None if variant.pair is None else f"{base}/{_pair_name(variant.pair)}"
    blank = ImagePlan(
        id=f"{base}/{number:04d}",
        scenario=entry.name,
        type=entry.type,
        split=split,
        label=variant.label,
        class_name=entry.class_names[variant.label],
        pair=pair,
        morphology=variant.morphology,
        canvas=recipe.canvas,
        seed=recipe.seed,
        spec={},
        settings=dict(variant.settings),
    )
    try:
        if still is not None and not variant.overrides:
            return _checked(blank, *still, variant.settings)
        params = dict(_drawn(blank, variant, draws))
        spec = entry.block.filled(params)
        for key, value in variant.overrides.items():
            _put(spec, key, value)
            params[key] = value
        scenario = entry.model.from_spec(spec)
        return _checked(blank, scenario, scenario.to_spec(), {**params, **variant.settings})
    except RecipeError as error:
        known = str(error).startswith((blank.id, f"{entry.name}:"))  # it names its place already
        raise RecipeError(str(error) if known else f"{blank.id}: {error}") from None


def _checked(blank: ImagePlan, scenario: Scenario, spec: Mapping[str, Any], params: Mapping[str, Any]) -> ImagePlan:
    plan = replace(blank, spec=spec, params=dict(params))
    scenario.check(plan)
    return plan


def _drawn(blank: ImagePlan, variant: Variant, draws: Mapping[str, Drawn]) -> Iterator[tuple[str, Any]]:
    for key, drawn in draws.items():
        if drawn.draw.kind == "each":
            yield key, variant.case.values[key]
        else:
            yield key, drawn.draw.value(drawn.slot, blank.stream("draw", key, shared=True), key)


def _pair_name(pair: int | str) -> str:
    if isinstance(pair, int):
        return f"p{pair:04d}"
    if not pair[:1].isalpha() or "/" in pair:
        raise ValueError(f"the name of a pair must begin with a letter and have no slash, got {pair!r}.")
    return pair


def _put(spec: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key; numbers go into lists."""
    *way, last = key.replace("[", ".").replace("]", "").split(".")
    here: Any = spec
    for part in way:
        here = here[int(part) if isinstance(here, list) else part]
    here[int(last) if isinstance(here, list) else last] = value
