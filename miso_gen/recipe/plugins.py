"""The families of plug-ins that a recipe speaks of, as abstract classes and registries.

The recipe room reads, checks, draws and plans through these alone; the plug-ins themselves live in ``miso_gen.scene``
and are found by the dotted names below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from miso_gen.errors import RecipeError
from miso_gen.recipe.parameters import Parameters
from miso_gen.registry import Registry

if TYPE_CHECKING:
    from miso_gen.recipe.plan import ImagePlan

Scalar: TypeAlias = str | int | float | bool | None
Evidence: TypeAlias = Literal["pixel", "object", "contour", "arrangement", "absence"]


class Plugin(Parameters, ABC):
    """A plug-in: parameters plus behaviour, named by the ``type`` of a recipe."""

    type_name: ClassVar[str]  #: written by ``Registry.register``
    revision: ClassVar[int] = 1  #: raised whenever a default or a pixel changes
    exact: ClassVar[bool] = True  #: False where the bytes may differ between machines
    reserved: ClassVar[frozenset[str]] = frozenset({"type"})  #: keys of a recipe that no field may be called

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        taken = cls.reserved & cls.model_fields.keys()
        if taken:
            raise TypeError(f"a field of {cls.__name__} must not be called {sorted(taken)}: recipes use these keys.")

    def to_spec(self) -> dict[str, Any]:
        """Return ``{"type": name, fields...}`` as plain JSON-able data."""
        return {"type": self.type_name, **super().to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the plug-in of ``{"type": name, fields...}``; ``type`` may be left out.

        Raises:
            RecipeError: ``type`` is another one, a key is unknown or missing, or a value is not what its field takes.
        """
        fields = dict(spec)
        name = fields.pop("type", cls.type_name)
        if name != cls.type_name:
            raise RecipeError(f"type must be {cls.type_name!r}, got {name!r}.")
        return super().from_spec(fields)


class Morphologies(Plugin, ABC):
    """A set of named large silhouettes."""

    split: Literal["shared", "disjoint"] = "shared"
    """Whether every split shows all silhouettes, or each split silhouettes of its own."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the names of the silhouettes, in index order."""

    @property
    @abstractmethod
    def reference(self) -> str:
        """The silhouette that MD deforms and compares with; it need not be among :meth:`names`."""

    def names_in(self, split: str, splits: Sequence[str]) -> tuple[str, ...]:
        """Return the silhouettes that one split shows.

        ``shared``: all of them. ``disjoint``: the names, sorted, are dealt round-robin over the splits, the reference last. A
        scenario that needs the reference in every split (MD) takes :attr:`reference` itself.
        """
        names = self.names()
        if self.split == "shared":
            return names
        dealt = sorted(names, key=lambda name: (name == self.reference, name))
        mine = set(dealt[list(splits).index(split) :: len(splits)])
        return tuple(name for name in names if name in mine)


class Background(Plugin, ABC):
    """What fills the image outside of objects."""


class PointProcess(Plugin, ABC):
    """Where small things lie."""


class Deformation(Plugin, ABC):
    """A change of a silhouette."""

    @property
    @abstractmethod
    def label(self) -> str:
        """A short kebab-case name of the deformation with its parameters, for tables."""


class Cell(Plugin, ABC):
    """A small coloured thing of a class of its own."""


class Rule(Plugin, ABC):
    """What decides the label of an image that holds many cells."""


class Tissue(Plugin, ABC):
    """Where the cells of tissue images come from."""

    evidence: ClassVar[Evidence] = "arrangement"  #: what makes the label true
    shortcuts: ClassVar[tuple[str, ...]] = ()  #: what else gives the label away

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Class names by label."""

    def samples_in(self, split: str, splits: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the samples of a split, in index order; none where images are made, not brought."""
        return ()

    def images_in(self, split: str) -> int | None:
        """Return how many images a split has; None: as many as :meth:`variants` yields."""
        return None

    @abstractmethod
    def variants(self, cases: Sequence[Case], samples: Sequence[str]) -> Iterator[Variant]:
        """Yield the images of one split in index order; see :meth:`Scenario.variants`."""

    def check(self, plan: ImagePlan) -> None:
        """Raise :class:`~miso_gen.errors.RecipeError` for numbers that can't work on the canvas of this image."""


class Binarizer(Plugin, ABC):
    """How an imported picture becomes black and white."""


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of the enumerated (``each``) values of a scenario."""

    index: int
    values: Mapping[str, Scalar] = field(default_factory=dict)  #: key path -> value, e.g. ``{"fuzz": 0.1}``


@dataclass(frozen=True, slots=True)
class Variant:
    """One image of a scenario, before anything is drawn."""

    label: int
    case: Case
    morphology: str | None = None
    pair: int | str | None = None  #: equal for the images that differ in the label only; a number n is written p0001
    settings: Mapping[str, Scalar] = field(default_factory=dict)  #: JSON scalars for ``scene()``, e.g. ``{"deformation": 3}``
    overrides: Mapping[str, Any] = field(default_factory=dict)  #: fields that differ in this image: ``{"fuzz": 0.1}``


class Scenario(Plugin, ABC):
    """A family of images with labels that are true for a known reason."""

    evidence: ClassVar[Evidence]  #: what makes the label true, unless parameters decide (:attr:`reason`)
    shortcuts: ClassVar[tuple[str, ...]] = ()  #: what else gives the label away
    classes: ClassVar[tuple[str, ...]]  #: class names by label, unless parameters decide (:attr:`class_names`)
    reserved: ClassVar[frozenset[str]] = frozenset({"type", "name", "labels"})
    undrawn: ClassVar[frozenset[str]] = frozenset({"images"})  #: fields that must be known before anything is drawn

    @property
    def reason(self) -> Evidence:
        """What makes the label true in this entry of a recipe."""
        return self.evidence

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by label in this entry of a recipe."""
        return self.classes

    @property
    def known_shortcuts(self) -> tuple[str, ...]:
        """What else gives the label away in this entry of a recipe."""
        return self.shortcuts

    @property
    def blank_labels(self) -> frozenset[int]:
        """Labels that an absence makes true: their images have no discriminative pixel."""
        return frozenset({0}) if self.evidence == "absence" else frozenset()

    def shelf(self, plan: ImagePlan) -> str | None:
        """Return what images shown together have in common besides their scenario, e.g. their background; None: nothing."""
        return None

    def images_in(self, split: str) -> int | None:
        """Return how many images a split has; None: as many as :meth:`variants` yields.

        Raises:
            RecipeError: Nobody said how many.
        """
        return None

    def shapes_in(self, split: str, splits: Sequence[str]) -> tuple[str, ...]:
        """Return the silhouettes, or other named originals, that one split shows; none where the scenario knows none.

        Raises:
            RecipeError: There are fewer silhouettes than splits that need one.
        """
        morphologies = getattr(self, "morphologies", None)
        if morphologies is None:
            return ()
        shapes: tuple[str, ...] = morphologies.names_in(split, splits)
        if not shapes:
            raise RecipeError(
                f"morphologies must have a silhouette for every split, got {len(morphologies.names())} for "
                f"{len(splits)} splits. Write split: shared, or fewer splits."
            )
        return shapes

    @abstractmethod
    def variants(self, cases: Sequence[Case], morphologies: Sequence[str]) -> Iterator[Variant]:
        """Yield the images of one split in index order, without end where :meth:`images_in` says how many.

        ``self`` holds representative numbers where the recipe draws: read only what can't be drawn (how many
        deformations there are, say), and leave the rest to ``scene()``.

        Args:
            cases: The enumerated combinations, at least one.
            morphologies: The silhouettes of this split, as of :meth:`shapes_in`.
        """

    def check(self, plan: ImagePlan) -> None:
        """Raise :class:`~miso_gen.errors.RecipeError` for numbers that can't work on the canvas of this image."""

    @staticmethod
    def pairs(
        cases: Sequence[Case], morphologies: Sequence[str], *, labels: Sequence[int], major: Literal["case", "shape"]
    ) -> Iterator[Variant]:
        """Yield one pair per case and silhouette, numbered from 1; ``major`` names the outer loop."""
        if major == "case":
            order = [(case, shape) for case, shape in product(cases, morphologies)]
        else:
            order = [(case, shape) for shape, case in product(morphologies, cases)]
        for number, (case, shape) in enumerate(order, 1):
            for label in labels:
                yield Variant(label=label, case=case, morphology=shape, pair=number)


SCENARIOS: Registry[Scenario] = Registry("scenario", "miso_gen.scene.scenarios")
BACKGROUNDS: Registry[Background] = Registry("background", "miso_gen.scene.backgrounds")
MORPHOLOGIES: Registry[Morphologies] = Registry("morphologies", "miso_gen.scene.morphologies")
POINTS: Registry[PointProcess] = Registry("point process", "miso_gen.scene.points")
DEFORMATIONS: Registry[Deformation] = Registry("deformation", "miso_gen.scene.deformations")
CELLS: Registry[Cell] = Registry("cell", "miso_gen.scene.cells")
RULES: Registry[Rule] = Registry("rule", "miso_gen.scene.rules")
TISSUES: Registry[Tissue] = Registry("tissue", "miso_gen.scene.tissues")
BINARIZERS: Registry[Binarizer] = Registry("binarizer", "miso_gen.imports.binarizers")

#: Every family, in the order of the JSON schema.
FAMILIES: tuple[Registry[Any], ...] = (
    SCENARIOS,
    MORPHOLOGIES,
    BACKGROUNDS,
    POINTS,
    DEFORMATIONS,
    CELLS,
    RULES,
    TISSUES,
    BINARIZERS,
)
