"""What a report says of names in its tables: of metrics, binarisers and scenarios, as they declare it themselves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import TYPE_CHECKING, Any, Final

from miso_gen.errors import InputError
from miso_gen.metrics.interfaces import MAP_BINARIZERS, METRICS, MODEL_METRICS, Declared, MapBinarizer, Metric
from miso_gen.metrics.plugins import plugin_of
from miso_gen.recipe import Recipe
from miso_gen.recipe.template import example
from miso_gen.report.words import EVIDENCE, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from miso_gen.metrics.interfaces import Direction
    from miso_gen.store import Dataset

_MARKUP: Final = re.compile(r"`+|:\w+:(?=`)")


@dataclass(frozen=True)
class MetricFacts:
    """What a reader must know of a metric.

    Attributes:
        name: As in the table of scores.
        direction: Which scores are better; ``none`` also where nobody declares it.
        limits: Least and greatest score, infinite where there is no limit; nan: unknown.
        chance: What a random map scores, as text in p, the share of pixels with evidence; empty: unknown.
        plain: What it means for people who have not read the papers; empty: there is only the definition.
        definition: First sentence of its documentation; empty: it is registered nowhere.
        source: Paper; empty: unknown.
        needs_mask: Whether it takes masks.
    """

    name: str
    direction: Direction
    limits: tuple[float, float]
    chance: str
    plain: str
    definition: str
    source: str
    needs_mask: bool

    @property
    def range(self) -> str:
        """Least and greatest score as text; empty: unknown."""
        if isnan(self.limits[0]):
            return ""
        least, most = (f"{edge:g}" if isfinite(edge) else "no limit" for edge in self.limits)
        return f"{least} to {most}"

    def better(self, one: float, other: float) -> bool:
        """Whether one score is better than another; False where there is no better."""
        return (one > other) if self.direction == "higher" else (one < other) if self.direction == "lower" else False

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some scores, nan left out; nan where there is none, or no better."""
        known = [value for value in values if isfinite(value)]
        if not known or self.direction == "none":
            return nan
        return max(known) if self.direction == "higher" else min(known)

    def chance_level(self, shares: Iterable[float] | None) -> float:
        """Return what a large random map scores on average over images, nan where nobody knows.

        Args:
            shares: Share of pixels with evidence of each image, in (0, 1); None: unknown, and only a chance that does not
                depend on it is known.
        """
        if not self.chance:
            return nan
        try:
            return float(self.chance)
        except ValueError:
            pass
        if shares is None or self.name not in METRICS:
            return nan
        metric: Metric = METRICS.get(self.name)()
        found = [metric.chance_level(share) for share in shares if 0 < share < 1]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else nan


def metric_facts(name: str) -> MetricFacts:
    """Return what is declared of a metric; of a name that nobody registered, that nothing is."""
    cls: type[Declared] | None = METRICS.get(name) if name in METRICS else None
    if cls is None and name in MODEL_METRICS:
        cls = MODEL_METRICS.get(name)
    if cls is None:
        return MetricFacts(name, "none", (nan, nan), "", "", "", "", needs_mask=False)
    return MetricFacts(
        name,
        cls.direction,
        cls.range,
        getattr(cls, "chance", None) or "",
        PLAIN.get(name.removesuffix("-legacy"), ""),
        first_sentence(cls.__doc__),
        cls.source,
        needs_mask=cls.takes == "binary",
    )


def first_sentence(doc: str | None) -> str:
    """Return the first line of a documentation, without markup."""
    return _MARKUP.sub("", (doc or "").strip().partition("\n")[0])


def binarizer_of(name: str) -> MapBinarizer | None:
    """Return what makes masks, by what the table of scores calls it: a name, or its specification as JSON; None: unknown."""
    try:
        spec = json.loads(name) if name.startswith("{") else name
        return plugin_of(spec, MAP_BINARIZERS) if spec else None
    except (ValueError, InputError):
        return None


@dataclass(frozen=True)
class ScenarioFacts:
    """What a reader must know of a scenario.

    Attributes:
        name: In the recipe.
        type: Its plug-in.
        summary: First sentence of its documentation.
        evidence: What makes the label true: ``pixel``, ``object``, ...
        meaning: The same in a sentence.
        shortcuts: What else gives the label away, as declared.
        classes: Names by label.
    """

    name: str
    type: str
    summary: str
    evidence: str
    meaning: str
    shortcuts: tuple[str, ...]
    classes: tuple[str, ...]


def scenario_facts(dataset: Dataset, name: str) -> ScenarioFacts | None:
    """Return what a scenario of a data set declares; None: the recipe has none of this name."""
    for entry in Recipe.from_dict(dataset.recipe).scenarios:
        if entry.name == name:
            scenario: Any = entry.model.from_spec(example(entry.block))
            return ScenarioFacts(
                name,
                entry.type,
                first_sentence(entry.model.__doc__),
                scenario.reason,
                EVIDENCE[scenario.reason],
                tuple(scenario.known_shortcuts),
                tuple(entry.class_names),
            )
    return None
