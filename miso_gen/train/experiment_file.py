"""Reading experiments: a file, the name of a shipped one, YAML text or plain data, with overrides on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import ValidationError

from miso_gen.errors import InputError, RecipeError, UnknownNameError, listing, suggestion
from miso_gen.models import MODELS, network_of
from miso_gen.recipe.load import experiment_files
from miso_gen.recipe.overrides import Overriding
from miso_gen.recipe.problems import NOTHING, KeyPath, Problem, problems_of, report, unknown_key
from miso_gen.recipe.source import Item, item_of, read_file, read_text
from miso_gen.train.experiment import BLOCKS, SCHEMA, TYPED, Experiment

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: What a higher room finds wrong with an experiment: with its ``explain`` or ``score``, say. It is given the experiment, and the
#: item that it was read from: ``item.at(("explain", 0)).problem("a name")`` is a problem with file, line and key path.
Check: TypeAlias = Callable[[Experiment, Item], list[Problem]]

_OVERRIDING: Final = Overriding(example="train.epochs=3", paths="train.lr or models[0].form")


def load_experiment(
    source: str | Path | Mapping[str, Any] | Experiment,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    checks: Sequence[Check] = (),
) -> Experiment:
    """Return a checked experiment.

    Args:
        source: Path of a YAML file; name of a shipped experiment; YAML text of more than one line; plain data; or an experiment.
        overrides: Values by key path, ``{"train.lr": 1e-3, "models[0].form": "wide"}``, or the same as texts
            ``"train.lr=1.0e-3"`` whose values are YAML.
        checks: What higher rooms ask of it, once the rest is right: of ``explain`` and ``score``, say, which nobody here reads.

    Raises:
        RecipeError: Something is wrong; every problem is listed with file, line and key path.
    """
    try:
        item = _OVERRIDING.apply(_read(source), overrides)
    except RecipeError as error:  # the words are those of recipes, the rules are the same
        raise RecipeError(str(error).replace("the recipe", "the experiment").replace("a recipe", "an experiment")) from None
    return _checked(item, checks)


def _read(source: str | Path | Mapping[str, Any] | Experiment) -> Item:
    if isinstance(source, Experiment):
        return item_of(source.to_spec())
    if isinstance(source, Mapping):
        return item_of(source)
    if isinstance(source, str) and "\n" in source:
        return read_text(source, "experiment")
    if not isinstance(source, str | Path):
        raise RecipeError(f"the experiment must be a path, a name, YAML text or a mapping, got {type(source).__name__}.")
    path, shipped = Path(source), experiment_files()
    if str(source) in shipped and not path.is_file():
        path = shipped[str(source)]
    if not path.exists():
        raise RecipeError(
            f"{path}: the experiment must be an existing file or one of {listing(shipped)}, got neither."
            f"{suggestion(path.stem, shipped)}"
        )
    return read_file(path)


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked(item: Item, checks: Sequence[Check]) -> Experiment:
    """Return the experiment that an item is, or list all that is wrong with it."""
    fields = dict(item.value)
    problems = _schema_problems(fields.pop("schema", None), item)
    models = fields.get("models")
    if models is not None and isinstance(models.value, list):
        wrong = [problem for model in models.value for problem in _model_problems(model)]
        if wrong:  # a name that is known stands in, so that the rest is looked at, too
            fields["models"] = item_of([MODELS.names()[0]], ("models",))
        problems += wrong
    bare = Item(fields, item.path, item.place)
    try:
        experiment = Experiment.model_validate(bare.plain())
    except ValidationError as error:
        problems += [_placed(detail, error, bare) for detail in error.errors(include_url=False)]
    if not problems:
        problems = [problem for check in checks for problem in check(experiment, item)]
    if problems:
        raise report(problems)
    return experiment


def _schema_problems(schema: Item | None, item: Item) -> list[Problem]:
    if schema is None:
        return [Problem(("schema",), "given", NOTHING, f"Write schema: {SCHEMA}.", item.place)]
    if schema.plain() != SCHEMA or isinstance(schema.value, bool):
        return [schema.problem(str(SCHEMA), "Newer files need a newer miso-gen.")]
    return []


def _model_problems(model: Item) -> list[Problem]:
    try:
        network_of(model.plain())
    except (RecipeError, UnknownNameError, InputError) as error:
        return [Problem(model.path, "", place=model.place, said=line) for line in str(error).splitlines()]
    return []


def _placed(detail: ErrorDetails, error: ValidationError, item: Item) -> Problem:
    """Return what pydantic found as a problem with its place in the file."""
    path = _real_path(tuple(detail["loc"]), item)
    here = item.at(path)
    kind = detail["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        named = here.with_type().value
        given = named.get("type") if isinstance(named, dict) else None
        known = TYPED[tuple(str(key) for key in path)]
        value = NOTHING if given is None else given.plain()
        return Problem((*path, "type"), f"one of {listing(known)}", value, suggestion(str(value), known).strip(), here.place)
    if kind == "model_attributes_type":
        return here.problem("a name, or {type: name, ...}")
    if kind == "extra_forbidden":
        return unknown_key(path, here.plain(), _known_keys(path[:-1], item), here.place)
    found = next(one for one, other in zip(problems_of(error), error.errors(include_url=False), strict=True) if other == detail)
    return Problem(path, found.expected, found.value, found.advice, here.place)


def _real_path(loc: KeyPath, item: Item) -> KeyPath:
    """Return a path of pydantic without the names of types on it."""
    path: KeyPath = ()
    for place, key in enumerate(loc):
        inner = item.at(path).with_type().value if path else item.value
        there = key in inner if isinstance(inner, dict) else isinstance(inner, list)
        if there or place == len(loc) - 1:
            path = (*path, key)
    return path


def _known_keys(path: KeyPath, item: Item) -> list[str]:
    names = tuple(str(key) for key in path)
    if names in TYPED:
        kind = item.at(path).with_type().value.get("type")
        return list(TYPED[names][kind.plain()].model_fields)
    block = BLOCKS.get(names)
    keys = list(block.model_fields) if block is not None else []
    return ["schema", *keys] if not names else keys
