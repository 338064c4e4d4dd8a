"""The block ``explain`` of an experiment: which explainers, and where the values of their maps lie.

::

    explain:
      - {type: saliency, at: both, legacy: true}
      - {type: gradcam, layer: block4, name: gradcam-block4}
      - random
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from miso_gen.errors import InputError, RecipeError, UnknownNameError, listing
from miso_gen.explain.interfaces import EXPLAINERS, Explainer
from miso_gen.metrics.plugins import plugin_of
from miso_gen.recipe.problems import Problem, report
from miso_gen.recipe.source import Item, item_of
from miso_gen.store.map_group import check_name

if TYPE_CHECKING:
    from miso_gen.train import Experiment

#: Where the values of maps lie. ``grid``: one for each cell of half a patch; ``pixel``: one for each pixel; ``both``: both that
#: there are; ``auto``: the grid of networks that read patches or bags, pixels of those that read images.
At: TypeAlias = Literal["auto", "grid", "pixel", "both"]

PIXEL: Final = "-pixel"  #: end of the name of maps of pixels beside those of cells
LEGACY: Final = "-legacy"  #: end of the name of maps of cells as the released code of MISO lays them
UNSCALED: Final = "-unscaled"  #: end of the name of maps that wait for a number to be scaled by


@dataclass(frozen=True)
class Entry:
    """An explainer of an experiment.

    Attributes:
        explainer: The explainer.
        at: Where the values of its maps lie.
        name: Name of its maps: its own, or its type.
        legacy: Whether maps of patches are also laid as the released code of MISO does.
    """

    explainer: Explainer
    at: At
    name: str
    legacy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names that its maps may have in a store."""
        there = (self.name, *((self.name + PIXEL,) if self.at == "both" else ()), *((self.name + LEGACY,) if self.legacy else ()))
        return there if self.explainer.scale == "none" else (*there, *(name + UNSCALED for name in there))

    @property
    def is_null(self) -> bool:
        """Whether it knows nothing of the network: it explains whole images, and the truth if it is the oracle."""
        return self.explainer.family == "null" or "truth" in self.explainer.needs


def entries_of(experiment: Experiment) -> tuple[Entry, ...]:
    """Return the explainers of an experiment.

    Raises:
        RecipeError: An entry is wrong, or two have one name; every problem is listed with its key path.
    """
    found, problems = _read(experiment, item_of({"explain": list(experiment.explain)}))
    if problems:
        raise report(problems)
    return found


def check_explain(experiment: Experiment, item: Item) -> list[Problem]:
    """Return what is wrong with the block ``explain``, with file and line: a check for ``load_experiment``."""
    return _read(experiment, item)[1]


def _read(experiment: Experiment, item: Item) -> tuple[tuple[Entry, ...], list[Problem]]:
    found: list[Entry] = []
    problems: list[Problem] = []
    taken: dict[str, int] = {}
    for number, value in enumerate(experiment.explain):
        place = item.at(("explain", number))
        here = Item(place.value, ("explain", number), place.place)
        try:
            entry = _entry(value, here)
        except _WrongError as wrong:
            problems += wrong.problems
            continue
        for name in entry.names:
            if name in taken:
                advice = f"explain[{taken[name]}] has it: give one of them a name of its own, such as name: {entry.name}-2."
                problems.append(Problem((*here.path, "name"), "different from all others", name, advice, here.place))
                break
            taken[name] = number
        else:
            found.append(entry)
    return tuple(found), problems


class _WrongError(Exception):
    """What is wrong with an entry."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems


def _entry(value: Any, here: Item) -> Entry:
    fields = dict(value) if isinstance(value, Mapping) else {}
    at, legacy = fields.pop("at", "auto"), fields.pop("legacy", False)
    if at not in get_args(At):
        raise _WrongError(Problem((*here.path, "at"), f"one of {listing(get_args(At))}", at, place=_place(here, "at")))
    if not isinstance(legacy, bool):
        raise _WrongError(Problem((*here.path, "legacy"), "true or false", legacy, place=_place(here, "legacy")))
    try:
        explainer = plugin_of(fields if isinstance(value, Mapping) else value, EXPLAINERS)
        name = explainer.name or explainer.type_name
        check_name("name", name)
    except (RecipeError, UnknownNameError, InputError) as error:
        raise _WrongError(*(Problem(here.path, "", place=here.place, said=line) for line in str(error).splitlines())) from None
    return Entry(explainer, at, name, legacy)


def _place(here: Item, key: str) -> str:
    return here.at((key,)).place
