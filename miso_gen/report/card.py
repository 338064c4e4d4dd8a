"""All that a page says of one network on one scenario, ready to be printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, isnan
from typing import TYPE_CHECKING, Final

import pandas as pd

from miso_gen.report.cells import (
    DIGITS,
    Lead,
    Role,
    ScoreTable,
    card_scores,
    facts_of,
    lead_of,
    ordered,
    predictions,
    score_tables,
    with_masks,
)
from miso_gen.report.declared import MetricFacts, ScenarioFacts, scenario_facts
from miso_gen.report.distributions import Distribution, distribution
from miso_gen.report.examples import Example, choose, example_of, shown_explainers
from miso_gen.report.findings import Skill, findings, skill_of
from miso_gen.report.methods import Methods, methods
from miso_gen.report.words import CLASSIFICATION_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miso_gen.metrics.summaries import IntervalName
    from miso_gen.report.results import Results

_SPLIT_METRICS: Final = 6  #: metrics that are shown of rightly and wrongly decided images
_RULE_FIRST: Final = ("top-k-majority", "network")


@dataclass(frozen=True)
class Answer:
    """A number of the classification."""

    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class AnswerRow:
    """How well a network classifies patches, or images by one rule; an answer for each metric, None: there is none."""

    level: str
    rule: str
    split: str
    seed: str
    answers: tuple[Answer | None, ...]


@dataclass(frozen=True)
class Answers:
    """The table of classification.

    Attributes:
        metrics: Its columns, with what they mean and what chance gives.
        rows: Patches first, then images.
    """

    metrics: tuple[tuple[str, str, str], ...]
    rows: tuple[AnswerRow, ...]


@dataclass(frozen=True)
class Split:
    """Tables of the images that the network decided rightly, or wrongly."""

    name: str
    images: int
    tables: tuple[ScoreTable, ...]


@dataclass(frozen=True)
class Headline:
    """A card in three numbers.

    Attributes:
        lead: The score.
        facts: What is known of it.
        explainer: The best one.
        mean: Its mean.
        normalised: The same between chance and oracle; nan: unknown.
        n: Images.
        null: The best null explainer; empty: there is none.
        null_mean: Its mean.
        oracle_mean: That of the oracle; nan: there is none.
        is_explainer: Whether it is one; else nothing but predictions of patches was scored.
    """

    lead: Lead
    facts: MetricFacts
    explainer: str
    mean: float
    normalised: float
    n: int
    null: str
    null_mean: float
    oracle_mean: float
    is_explainer: bool


@dataclass(frozen=True)
class Card:
    """One network on one scenario; ``model`` is empty where maps came without a network.

    Attributes:
        model: As in the tables.
        scenario: As in the tables.
        facts: What the scenario declares; None: the recipe has none of this name.
        splits: That were scored.
        images: Images with scores.
        with_truth: Of these, by level, how many have evidence.
        without_truth: By level, how many have none.
        answers: Classification; None: no network was asked.
        skill: The number of it that is told first; None: as above.
        tables: Scores.
        headline: Best explainer by the leading score; None: there is no explainer.
        spread: How the leading score is spread; None: as above.
        by_prediction: Scores of rightly and wrongly decided images.
        examples: Images with maps.
        methods: How it was done.
        metrics: All metrics of the tables.
        findings: What all this means, in sentences.
    """

    model: str
    scenario: str
    facts: ScenarioFacts | None
    splits: tuple[str, ...]
    images: int
    with_truth: dict[int, int]
    without_truth: dict[int, int]
    answers: Answers | None
    skill: Skill | None
    tables: tuple[ScoreTable, ...]
    headline: Headline | None
    spread: Distribution | None
    by_prediction: tuple[Split, ...]
    examples: tuple[Example, ...]
    methods: Methods
    metrics: tuple[MetricFacts, ...]
    findings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.model or 'maps without a network'} on {self.scenario}"


def make_card(
    results: Results,
    model: str,
    scenario: str,
    *,
    interval: IntervalName = "normal",
    metric: str | None = None,
) -> Card:
    """Return a card.

    Args:
        results: What it is made of.
        model: Network.
        scenario: Scenario.
        interval: Of means.
        metric: Score by which examples are chosen; None: see :func:`~miso_gen.report.cells.lead_of`.

    Raises:
        UnknownNameError: There is no such card.
        InputError: An image is none of the data set.
    """
    scores = with_masks(card_scores(results, model, scenario))
    tables = score_tables(scores, results, interval=interval)
    lead = lead_of(scores, metric)
    chosen = [one for name in shown_explainers(scores, lead) for one in choose(scores, lead, name)] if lead else []
    examples = [example_of(results, model, scenario, lead, one) for one in chosen] if lead else []
    facts = scenario_facts(results.dataset, scenario)
    skill = skill_of(results.classification, model, scenario, len(facts.classes) if facts else 2)
    headline = _headline(lead, tables, scores) if lead else None
    images: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for positive in sorted(set(scores["positive"])):
        for has_truth in (True, False):
            part = scores[(scores["positive"] == positive) & (scores["has_truth"] == has_truth)]
            images[has_truth][int(positive)] = part["image_id"].nunique()
    return Card(
        model,
        scenario,
        facts,
        tuple(sorted(set(scores["split"].astype(str)))),
        scores["image_id"].nunique(),
        images[True],
        images[False],
        _answers(results.classification, model, scenario),
        skill,
        tuple(tables),
        headline,
        distribution(scores, lead) if lead else None,
        tuple(_splits(scores, results, interval, lead)),
        tuple(example for example in examples if example is not None),
        methods(results, model, scenario, scores, interval),
        tuple(facts_of(name) for name in ordered(scores["metric"])),
        findings(results, model, scenario, skill, headline, tables),
    )


def with_smaller_pictures(results: Results, card: Card, scale: float) -> Card:
    """Return a card whose pictures have this share of the bytes that they may have."""
    if card.spread is None:
        return card
    lead, chosen = card.spread.lead, [example.chosen for example in card.examples]
    examples = [example_of(results, card.model, card.scenario, lead, one, scale) for one in chosen]
    return replace(card, examples=tuple(example for example in examples if example is not None))


def _headline(lead: Lead, tables: Sequence[ScoreTable], scores: pd.DataFrame) -> Headline:
    table = lead.table(tables)
    names = shown_explainers(scores, lead)
    facts = facts_of(lead.metric)
    column = [one.name for one in table.metrics].index(lead.metric)
    found = [(row.role, row.explainer, cell) for row in table.rows if (cell := row.cells[column]) is not None]
    top_role, top = next((role, cell) for role, name, cell in found if name == names[0])
    nulls = {name: cell.mean for role, name, cell in found if role == "null"}
    best = facts.best(nulls.values())
    null = next((name for name, mean in nulls.items() if mean == best), "")
    oracle = facts.best(cell.mean for role, _, cell in found if role == "oracle")
    return Headline(lead, facts, names[0], top.mean, top.normalised, top.n, null, best, oracle, top_role == "explainer")


def _splits(scores: pd.DataFrame, results: Results, interval: IntervalName, lead: Lead | None) -> list[Split]:
    """Return the first metrics of rightly and wrongly decided images, at the level of truth of the leading score."""
    found = []
    rows = scores if lead is None else scores[scores["positive"] == lead.positive]
    for name, part in predictions(rows):
        metrics = _first(part)
        tables = [it for it in score_tables(part, results, interval=interval, metrics=metrics) if it.has_truth]
        found.append(Split(name, part["image_id"].nunique(), tuple(tables)))
    return found


def _first(scores: pd.DataFrame) -> list[str]:
    """Return the first metrics of masks and of maps."""
    names: list[str] = []
    for of_masks in (True, False):
        part = scores[(scores["binarizer"] != "") == of_masks]
        names += ordered(part["metric"])[:_SPLIT_METRICS]
    return names


def _answers(table: pd.DataFrame, model: str, scenario: str) -> Answers | None:
    """Return the classification of a card; None: there is none."""
    rows = table[(table["model"] == model) & (table["scenario"] == scenario)]
    if rows.empty:
        return None
    metrics = [str(name) for name in dict.fromkeys(rows["metric"])]
    found: dict[tuple[str, str, str, str], dict[str, Answer]] = {}
    for row in rows.to_dict("records"):
        seed = "" if pd.isna(row["seed"]) else str(int(row["seed"]))
        key = str(row["level"]), str(row["rule"]), str(row["split"]), seed
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        found.setdefault(key, {})[str(row["metric"])] = Answer(str(row["metric"]), value, low, high, int(row["n"]))
    keys = sorted(found, key=lambda key: (key[0] != "patch", key[1] not in _RULE_FIRST, *key[1:]))
    answers = tuple(AnswerRow(*key, tuple(found[key].get(name) for name in metrics)) for key in keys)
    words = []
    for name in metrics:
        meaning, chance = CLASSIFICATION_WORDS.get(name.replace("-", "_"), ("", ""))
        words.append((name, meaning, chance))
    return Answers(tuple(words), answers)


# --- numbers as text --------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Return a score as text, with three digits after the point; large ones with four digits in all."""
    if isnan(value):
        return "undefined"
    if not isfinite(value) or abs(value) >= 1000:
        return f"{value:.4g}"
    text = f"{value:.{DIGITS}f}"
    return text.lstrip("-") if float(text) == 0 else text


def with_interval(value: float, low: float, high: float) -> str:
    """Return a mean as text: ``0.512 ± 0.031`` where the interval lies evenly, else ``0.512 (0.480 to 0.540)``."""
    if isnan(value) or isnan(low) or isnan(high):
        return number(value)
    if abs((high - value) - (value - low)) < 10.0**-DIGITS / 2:
        return f"{number(value)} ± {number((high - low) / 2)}"
    return f"{number(value)} ({number(low)} to {number(high)})"


def percent(value: float) -> str:
    """Return a share as text."""
    return "" if isnan(value) else f"{round(100 * value) or 0} %"


def role_words(role: Role, kind: str, is_mask: bool = False) -> str:
    """Return what maps are, for the first column of tables."""
    names: dict[Role, str] = {"prediction": "prediction of patches", "null": "null explainer", "oracle": "the truth itself"}
    return names.get(role, kind) + (", a mask already" if is_mask else "")
