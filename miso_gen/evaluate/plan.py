"""What is scored, and how: the block ``score`` of an experiment.

::

    score: all
    # or
    score:
      metrics: [dice, f-beta, s-measure, mae]
      binarize: [two-mean, {type: mean-std, factor: 1.0}]
      positive: [2]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from miso_gen.errors import InputError, RecipeError, UnknownNameError
from miso_gen.metrics.interfaces import MAP_BINARIZERS, METRICS, MapBinarizer, Metric
from miso_gen.metrics.plugins import plugin_of
from miso_gen.metrics.preparing import Normalize, Sign
from miso_gen.recipe.parameters import Parameters, plain
from miso_gen.recipe.problems import Problem

if TYPE_CHECKING:
    from miso_gen.recipe.source import Item
    from miso_gen.train.experiment import Experiment


def _metrics(value: Any) -> Any:
    if value in ("all", "legacy"):
        return value
    return _plugins(value, METRICS, "all, legacy, or a list of metrics")


def _binarizers(value: Any) -> Any:
    return _plugins(value, MAP_BINARIZERS, "a list of binarisers")


def _plugins(value: Any, registry: Any, expected: str) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise PydanticCustomError("expected", "{expected}", {"expected": expected})
    try:
        found = tuple(plugin_of(one, registry) for one in value)
    except (InputError, RecipeError, UnknownNameError) as error:
        raise PydanticCustomError("expected", "{expected} ({error})", {"expected": expected, "error": str(error)}) from None
    if len({name_of(one) for one in found}) < len(found):
        raise PydanticCustomError("expected", "{expected}, each once", {"expected": expected})
    return found


class ScorePlan(Parameters):
    """What is scored, and how."""

    metrics: Annotated[Any, PlainValidator(_metrics)] = "all"
    """``all`` but legacy ones; ``legacy``: these, too; or a list of names and ``{type: name, ...}``."""

    binarize: Annotated[Any, PlainValidator(_binarizers)] = ("two-mean",)
    """What makes masks of maps; scores of masks are computed for each."""

    positive: Annotated[tuple[Literal[1, 2], ...], Field(min_length=1)] = (2,)
    """Levels of the truth from which on pixels are evidence."""

    sign: Sign = "positive"
    """What becomes of the signs of signed maps, for metrics that need none."""

    normalize: Normalize = "min-max"
    """How a map is normalised for metrics that compare its values with 0 and 1."""

    def to_spec(self) -> dict[str, Any]:
        """Return every field as plain JSON-able data."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields}

    @property
    def chosen(self) -> dict[str, Metric]:
        """The metrics by the name of their scores."""
        if self.metrics in ("all", "legacy"):
            return {name: cls() for name, cls in METRICS if self.metrics == "legacy" or not cls.legacy}
        return {name_of(one): one for one in self.metrics}

    @property
    def binarizers(self) -> dict[str, MapBinarizer]:
        """The binarisers by name."""
        return {name_of(one): one for one in map(lambda one: plugin_of(one, MAP_BINARIZERS), self.binarize)}


def score_plan(value: Any) -> ScorePlan:
    """Return the plan that the block ``score`` of an experiment stands for.

    Args:
        value: ``all``, ``legacy``, a list of metrics, a mapping of :class:`ScorePlan`, or one.

    Raises:
        RecipeError: Something in it is wrong.
    """
    if isinstance(value, ScorePlan):
        return value
    if not isinstance(value, Mapping):
        value = {"metrics": value}
    try:
        return ScorePlan.from_spec(value)
    except RecipeError as error:
        raise RecipeError("\n".join(f"score.{line}" for line in str(error).splitlines())) from None


def check_score(experiment: Experiment, item: Item) -> list[Problem]:
    """Return what is wrong with the block ``score``, with file and line: a check for ``load_experiment``."""
    try:
        score_plan(experiment.score)
    except RecipeError as error:
        here = item.at(("score",))
        return [Problem(("score",), "", place=here.place, said=line.removeprefix("score.")) for line in str(error).splitlines()]
    return []


def name_of(plugin: Metric | MapBinarizer) -> str:
    """Return what scores of a metric, or masks of a binariser, are called: its type, and what differs from its defaults.

    ``top-k-intersection`` with k = 500 is ``top-k-intersection(k=500)``.
    """
    fields = type(plugin).model_fields
    told = [
        f"{name}={plain(getattr(plugin, name))}"
        for name, field in fields.items()
        if getattr(plugin, name) != field.get_default(call_default_factory=True)
    ]
    return f"{plugin.type_name}({', '.join(told)})" if told else plugin.type_name
