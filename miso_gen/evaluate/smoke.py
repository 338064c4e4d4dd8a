"""A whole evaluation so small that it takes a minute, to see that all is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from miso_gen.build import build
from miso_gen.errors import InputError, RecipeError, WorkError
from miso_gen.recipe import Recipe, load_recipe
from miso_gen.train.experiment import smoke as small_training

if TYPE_CHECKING:
    from miso_gen.train.experiment import Experiment
    from miso_gen.train.loop import Watcher

DATA: Final = "data"  #: folder of the small data set, in that of the evaluation
_BATCH: Final = 2
_MODELS: Final = 2  #: networks, at most
_IMAGES: Final = 4  #: test images


def smoke(experiment: Experiment, out: str | Path, watcher: Watcher) -> Experiment:
    """Return the experiment on a small data set that is built here: one scenario, four test images, two steps of training.

    Of its networks the first two are tried, of its explainers the first of each type.

    Args:
        experiment: What it is made of; its block ``smoke`` says of which recipe the data are.
        out: Folder of the evaluation.
        watcher: Told what is built.

    Raises:
        InputError: Nobody says of which recipe the data are.
        WorkError: An image can't be built.
    """
    recipe, scenario = _recipe(experiment)
    folder = Path(out) / DATA
    watcher.say(f"a small data set, {recipe.name}: {folder}")
    failures = build(recipe, folder, workers=1).failures
    if failures:
        first = f"{failures[0].image_id}: {failures[0].reason}"
        raise WorkError(f"{folder} must be built, got {len(failures)} images that failed; {first}. Change the block smoke.")
    small = small_training(experiment)
    train = small.train.model_copy(update={"batch": min(_BATCH, small.train.batch), "accumulate": 1})
    few = 2 * train.batch
    subset = None if train.subset is None else train.subset.model_copy(update={"patches": few, "images": few, "validation": few})
    train = train.model_copy(update={"subset": subset, "device": "cpu", "devices": 1, "precision": "fp32"})
    splits = small.splits.model_copy(update={"most": _IMAGES})
    changed: dict[str, Any] = {"dataset": str(folder), "scenarios": (scenario,), "train": train, "splits": splits}
    changed |= {"models": small.models[:_MODELS], "explain": _different(small.explain)}
    if experiment.smoke.patch_px is not None:
        changed["patches"] = small.patches.model_copy(update={"size": experiment.smoke.patch_px})
    return small.model_copy(update=changed)


def _different(entries: Sequence[Any]) -> tuple[Any, ...]:
    """Return the first explainer of each type."""
    found: dict[str, Any] = {}
    for one in entries:
        found.setdefault(str(one["type"] if isinstance(one, Mapping) else one), one)
    return tuple(found.values())


def _recipe(experiment: Experiment) -> tuple[Recipe, str]:
    """Return the recipe of the small data set, with one scenario, and the name of that."""
    name = experiment.smoke.recipe or _name_of(experiment.dataset)
    try:
        recipe = load_recipe(name, experiment.smoke.set)
    except RecipeError as error:
        raise InputError(f"smoke.recipe must name a recipe, got {name!r}. {error}") from None
    wanted = experiment.scenarios[0] if experiment.scenarios else recipe.scenarios[0].name
    spec = recipe.to_dict()
    mine = [one for one in spec["scenarios"] if one.get("name", one["type"]) == wanted]
    if not mine:
        raise InputError(f"scenarios must be of the recipe {name!r}, got {wanted!r}. Set smoke.recipe.")
    return Recipe.from_dict({**spec, "scenarios": mine}), wanted


def _name_of(dataset: str) -> str:
    """Return the recipe of a data set: its own file, or the shipped one of its name."""
    path = Path(dataset)
    if (path / "recipe.yaml").is_file():
        return str(path / "recipe.yaml")
    return dataset.partition("@")[0] if "@" in dataset else path.parent.name
