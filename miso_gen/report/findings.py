"""What the numbers of a card mean, in sentences made of them, for a reader who has not read the papers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.report.layers import find_map
from miso_gen.report.results import NULLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from miso_gen.report.card import Headline
    from miso_gen.report.cells import Cell, ScoreTable
    from miso_gen.report.results import Results

_CLEAR: Final = 0.9  #: from here on a network tells classes apart, below it does so in part
_EVEN: Final = 0.5  #: chance of two classes
_RULES: Final = ("network", "top-k-majority")  #: whose accuracy of images is told, the first that there is


@dataclass(frozen=True)
class Skill:
    """How well a network tells classes apart.

    Attributes:
        measure: Which number: ``patch AUROC`` or ``image accuracy``.
        value: Mean over trainings.
        low: Least lower end of their intervals of 95 %; nan: there is none.
        high: Greatest upper end.
        chance: What chance gives.
        trainings: How many trainings have this number.
        at_chance: Of these, those whose interval holds chance.
        below: Of these, those whose interval lies below chance.
    """

    measure: str
    value: float
    low: float
    high: float
    chance: float
    trainings: int
    at_chance: int
    below: int


def skill_of(classification: pd.DataFrame, model: str, scenario: str, classes: int = 2) -> Skill | None:
    """Return how well a network tells classes apart: AUROC of patches, else accuracy of images; None: nobody knows.

    Args:
        classification: See :data:`~miso_gen.report.results.CLASSIFICATION`.
        model: Network.
        scenario: Scenario.
        classes: Number of classes, for the chance of accuracy.
    """
    rows = classification[(classification["model"] == model) & (classification["scenario"] == scenario)]
    rows = rows[rows["value"].notna()]
    of_patches = rows[(rows["level"] == "patch") & (rows["metric"] == "auroc")]
    if len(of_patches):
        return _skill("patch AUROC", of_patches, _EVEN)
    for rule in _RULES:
        of_images = rows[(rows["level"] == "image") & (rows["rule"] == rule) & (rows["metric"] == "accuracy")]
        if len(of_images):
            return _skill("image accuracy", of_images, 1 / max(classes, 2))
    return None


def _skill(measure: str, rows: pd.DataFrame, chance: float) -> Skill:
    low, high = rows["low"].to_numpy(np.float64), rows["high"].to_numpy(np.float64)
    known = rows[["low", "high"]].notna().all(axis=1)
    ends = (float(low[known].min()), float(high[known].max())) if known.all() else (nan, nan)
    at_chance = int(((low <= chance) & (chance <= high)).sum())
    return Skill(measure, float(rows["value"].mean()), *ends, chance, len(rows), at_chance, int((high < chance).sum()))


def findings(
    results: Results, model: str, scenario: str, skill: Skill | None, top: Headline | None, tables: Sequence[ScoreTable]
) -> tuple[str, ...]:
    """Return what a card says in words: of the network, of its explainers, of what null explainers know.

    Args:
        results: Where maps of null explainers are.
        model: Of the card.
        scenario: Of the card.
        skill: Of the network; None: no network was asked.
        top: The best explainer; None: there is none.
        tables: Of the card.
    """
    said = [network_words(skill)] if skill is not None else []
    if top is None:
        return (*said, "No map of an explainer has a score on images with evidence.")
    table = top.lead.table(tables)
    column = [facts.name for facts in table.metrics].index(top.lead.metric)
    found = [(row.role, row.explainer, cell) for row in table.rows if (cell := row.cells[column]) is not None]
    of_role = [name for role, name, cell in found if role == ("explainer" if top.is_explainer else "prediction") and cell.n]
    best = next((cell for _, name, cell in found if name == top.explainer), None)
    null = next((cell for _, name, cell in found if name == top.null), None)
    said.append(explainer_words(top, len(set(of_role)), best, null))
    if _null_sees_patches(results, model, scenario, top):
        said.append(
            "Null explainers have values on kept patches only: dropping the background gives much of the object away, "
            "even to a map that knows nothing of the network."
        )
    return tuple(said)


def network_words(skill: Skill) -> str:
    """Return what a network can do, in a sentence."""
    name, chance = f"{skill.measure} {skill.value:.2f}", f"{skill.chance:.2g}"
    ends = "" if isnan(skill.low) else f", interval {skill.low:.2f} to {skill.high:.2f}"
    if skill.trainings > 1:
        name, ends = f"mean {name} of {skill.trainings} trainings", ends.replace("interval", "intervals from")
    if isnan(skill.low):
        return f"The network's {name} has no interval, so nobody knows whether it is at chance ({chance})."
    no_map = "Maps of it can't show what it has not learned."
    if skill.at_chance == skill.trainings:
        return f"The network is at chance ({name}{ends}). {no_map}"
    if skill.below == skill.trainings:
        return f"The network does worse than chance ({name}{ends}): it takes classes for each other, and its maps may, too."
    unsure = skill.at_chance + skill.below
    if unsure:
        be = "is" if unsure == 1 else "are"
        return f"Of {skill.trainings} trainings, {unsure} {be} at chance or below ({name}{ends}). {no_map}"
    if skill.value >= _CLEAR:
        return f"The network tells the classes apart ({name})."
    return f"The network tells the classes apart only in part ({name}{ends})."


def explainer_words(top: Headline, count: int, best: Cell | None, null: Cell | None) -> str:
    """Return how good the best explainer is, in a sentence.

    Args:
        top: The best one.
        count: How many explainers were scored so.
        best: Its score with its interval.
        null: That of the best null explainer; None: there is none.
    """
    kind, kinds = ("explainer", "explainers") if top.is_explainer else ("map of predictions", "maps of predictions")
    only = "" if top.is_explainer else "Only maps of predictions were scored, which explain nothing. "
    of = f"The only {kind} ({top.explainer})" if count == 1 else f"Of {count} {kinds}, the best ({top.explainer})"
    score = f"{top.facts.name} {top.mean:.2f}"
    if not isfinite(top.null_mean):
        return f"{only}{of} has {score}; no null explainer was scored, so nobody knows what chance gives."
    against = f"{top.null}, {top.facts.name} {top.null_mean:.2f}"
    if isfinite(top.oracle_mean) and not top.facts.better(top.oracle_mean, top.null_mean):
        return (
            f"{only}This score can't tell maps apart: the truth itself (oracle, {top.facts.name} {top.oracle_mean:.2f}) is no "
            f"better than the best null explainer ({against})."
        )
    if not top.facts.better(top.mean, top.null_mean):
        return (
            f"{only}{f'None of {count} {kinds}' if count > 1 else f'No {kind}'} does better than the best null explainer "
            f"({against}), which knows nothing of the network; {top.explainer} has {top.mean:.2f}."
        )
    luck = _luck(top, best, null)
    if isnan(top.normalised):
        return f"{only}{of} has {score}, better than the best null explainer ({against}).{luck}"
    if top.normalised >= 1:
        return f"{only}{of} scores no worse than the truth itself ({score}; the best null explainer, {against}).{luck}"
    share = f"{round(100 * top.normalised)} % of the way"
    return f"{only}{of} lies {share} from the best null explainer ({top.null}) to the truth.{luck}"


def _luck(top: Headline, best: Cell | None, null: Cell | None) -> str:
    """Return a warning where the intervals of best and null overlap, or where there are none."""
    if best is None or null is None:
        return ""
    if isnan(best.low) or isnan(null.low):
        return f" With {top.n} image{'s' * (top.n != 1)} nobody knows whether that is luck."
    overlap = best.low <= null.high and null.low <= best.high
    return f" Their intervals overlap, so with {top.n} images it may be luck." if overlap else ""


def _null_sees_patches(results: Results, model: str, scenario: str, top: Headline) -> bool:
    """Return whether the maps of the best null explainer lack cells, as where dropped patches are not explained."""
    if top.null not in NULLS or top.lead.at != "grid":
        return False
    rows = results.scores[(results.scores["explainer"] == top.null) & (results.scores["scenario"] == scenario)]
    for image_id in sorted(set(rows["image_id"]))[:3]:
        found = find_map(results, model, scenario, None, top.null, image_id)
        if found is not None:
            return bool(np.isnan(found.values).any())
    return (results.patches or {}).get("background") == "drop"
