"""The numbers of a card: means with intervals of explainers x metrics, beside null explainers and the oracle.

Everything is computed from the table of scores through :func:`miso_gen.metrics.summaries.summarise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from miso_gen.errors import InputError, UnknownNameError
from miso_gen.metrics.summaries import summarise
from miso_gen.report.declared import MetricFacts, metric_facts
from miso_gen.report.results import NULLS, ORACLE, Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from miso_gen.metrics.summaries import IntervalName

Role: TypeAlias = Literal["prediction", "explainer", "null", "oracle"]

DIGITS: Final = 3  #: after the point, of what is printed, and of what counts as a tie
PREFERRED: Final = (
    "f-beta", "dice", "jaccard", "sensitivity", "specificity", "e-measure", "s-measure", "scag-dist", "mae", "ssim", "auroc",
    "average-precision", "pointing-game", "relevance-mass", "relevance-rank",
)  # fmt: skip
"""Metrics that come first, in this order; the others follow by name, those of released code last."""

PREDICTIONS: Final = ("ppm", "pcm")  #: kinds of maps of what the network says, which explain nothing
WITHOUT_TRUTH: Final = ("specificity",)  #: what is scored of images without evidence
_PLACE: Final = ("at", "binarizer", "positive")
_ROW: Final = ("explainer", "kind")


@dataclass(frozen=True)
class Cell:
    """A mean over images.

    Attributes:
        mean: nan where no image has a score.
        low: Lower end of the interval of 95 %; nan where there is none.
        high: Upper end.
        n: Images with a score.
        n_undefined: Images whose score is undefined.
        normalised: (mean - null) / (oracle - null), of the best null explainer and the oracle of the table; nan where one of
            them is missing, both are equal, or no score is better.
        best: Whether no other explainer is better, but for the last printed digit.
    """

    mean: float
    low: float
    high: float
    n: int
    n_undefined: int
    normalised: float = nan
    best: bool = False


@dataclass(frozen=True)
class Row:
    """The scores of one explainer, a cell for each metric of its table; None: it was not scored so.

    Attributes:
        explainer: Its name.
        kind: What its maps are.
        role: What it is.
        cells: Its scores.
        is_mask: Whether its maps are masks already, which the binariser of the table did not make.
    """

    explainer: str
    kind: str
    role: Role
    cells: tuple[Cell | None, ...]
    is_mask: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Explainers x metrics, of maps that lie alike, under one binariser and one level of truth.

    Attributes:
        at: ``grid`` or ``pixel``.
        binarizer: What made masks; empty: metrics that take maps, or masks that no binariser made.
        positive: Level of truth from which on there is evidence.
        has_truth: Whether it is over the images that have evidence, or over those that have none.
        images: Images that have rows here.
        metrics: What is known of each column.
        chance: What a random map scores, by each metric's own formula; nan: unknown.
        rows: Maps of predictions first, then explainers, null explainers, the oracle.
    """

    at: str
    binarizer: str
    positive: int
    has_truth: bool
    images: int
    metrics: tuple[MetricFacts, ...]
    chance: tuple[float, ...]
    rows: tuple[Row, ...]

    def value(self, explainer: str, metric: str) -> Cell | None:
        """Return the first cell of an explainer and a metric; None: there is none."""
        columns = [facts.name for facts in self.metrics]
        if metric in columns:
            for row in self.rows:
                if row.explainer == explainer and row.cells[columns.index(metric)] is not None:
                    return row.cells[columns.index(metric)]
        return None


def role_of(explainer: str, kind: str) -> Role:
    """Return whether maps are predictions of patches (which explain nothing), of an explainer, of a null one, or the truth."""
    if explainer == ORACLE or explainer in NULLS:
        return "oracle" if explainer == ORACLE else "null"
    return "prediction" if kind in PREDICTIONS else "explainer"


def roles(scores: pd.DataFrame) -> pd.Series[str]:
    """Return the role of each row of a table of scores."""
    pairs = zip(scores["explainer"], scores["kind"], strict=True)
    return pd.Series([role_of(str(explainer), str(kind)) for explainer, kind in pairs], scores.index, dtype=object)


def shown_role(scores: pd.DataFrame) -> Role:
    """Return the role of which a card shows the best: explainers, or predictions where nothing else was scored."""
    return "explainer" if (roles(scores) == "explainer").any() else "prediction"


facts_of: Callable[[str], MetricFacts] = cache(metric_facts)  #: looked up once


def cards_of(results: Results) -> list[tuple[str, str]]:
    """Return (model, scenario) of every card, sorted: all pairs that have scores or classification.

    Scores of null explainers and the oracle without a model belong to all cards, and make one only where there is no model.
    """
    scores = results.scores
    own = scores[(scores["model"] != "") | ~scores["explainer"].isin((*NULLS, ORACLE))]
    tables = [own if len(own) or len(results.classification) else scores, results.classification]
    pairs = [table[["model", "scenario"]].drop_duplicates() for table in tables]
    return sorted({pair for table in pairs for pair in zip(table["model"], table["scenario"], strict=True)})


def card_scores(results: Results, model: str, scenario: str) -> pd.DataFrame:
    """Return the scores of a card, and of each image whether it has truth, column ``has_truth``.

    Null explainers and the oracle that were scored without a model stand beside every model that has none of its own.

    Raises:
        UnknownNameError: There is no such card.
        InputError: An image is none of the data set.
    """
    if (model, scenario) not in cards_of(results):
        known = [f"{one} on {other}" for one, other in cards_of(results)]
        raise UnknownNameError("card", f"{model} on {scenario}", known)
    table = results.scores[results.scores["scenario"] == scenario]
    mine = table[table["model"] == model]
    if model:
        shared = table[(table["model"] == "") & table["explainer"].isin((*NULLS, ORACLE))]
        mine = pd.concat([mine, shared[~shared["explainer"].isin(set(mine["explainer"]))]])
    return mine.assign(has_truth=_has_truth(results, mine))


def _has_truth(results: Results, scores: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether the image of each row has evidence at the row's level; images whose evidence is unknown count as such."""
    index = results.dataset.table.set_index("image_id")
    unknown = sorted(set(scores["image_id"]) - set(index.index))
    if unknown:
        name = f"{results.dataset.name} {results.dataset.version}"
        raise InputError(f"image_id must be one of {name}, got {unknown[0]!r}. Give the data set that was scored.")
    found = np.ones(len(scores), bool)
    for level in (1, 2):
        shares = scores["image_id"].map(index[f"truth_{level}_share"]).to_numpy(np.float64, na_value=np.nan)
        at_level = scores["positive"].to_numpy(np.float64, na_value=np.nan) == level
        found[at_level] = ~(shares[at_level] <= 0)
    return found


def with_masks(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of a card with those of masks that no binariser made beside every binariser's, column ``is_mask``.

    These are scores of metrics that take masks, with the binariser "". They move to each binariser that was used on maps that lie
    alike, at the same level of truth, and stay where there is none.

    Args:
        scores: Of :func:`card_scores`.
    """
    takes_masks = {str(name): facts_of(str(name)).needs_mask for name in scores["metric"].unique()}
    is_mask = (scores["binarizer"] == "") & scores["metric"].isin([name for name, takes in takes_masks.items() if takes])
    table = scores.assign(is_mask=is_mask)
    places = table.loc[table["binarizer"] != "", list(_PLACE)].drop_duplicates()
    beside = table[is_mask].drop(columns="binarizer").merge(places, on=["at", "positive"])[list(table.columns)]
    if beside.empty:
        return table
    used = set(zip(places["at"], places["positive"], strict=True))
    moved = [mask and (at, level) in used for mask, at, level in zip(is_mask, table["at"], table["positive"], strict=True)]
    return pd.concat([table[[not it for it in moved]], beside], ignore_index=True)


def score_tables(
    scores: pd.DataFrame,
    results: Results,
    *,
    interval: IntervalName = "normal",
    metrics: Sequence[str] | None = None,
) -> list[ScoreTable]:
    """Return the tables of a card: images with evidence first, then specificity of those without.

    Args:
        scores: Of :func:`card_scores` or :func:`with_masks`, or some of its rows.
        results: Where they are from.
        interval: See :func:`~miso_gen.metrics.summaries.summarise`.
        metrics: Those to show; None: all.
    """
    chosen = scores if metrics is None else scores[scores["metric"].isin(metrics)]
    tables = []
    for has_truth in (True, False):
        part = chosen[chosen["has_truth"] == has_truth]
        if not has_truth:
            part = part[part["metric"].isin(WITHOUT_TRUTH)]
        if len(part):
            found = summarise(part, [*_PLACE, *_ROW, "metric"], interval=interval)
            for (at, binarizer, positive), cells in found.groupby(list(_PLACE), sort=False):
                place = part[(part["at"] == at) & (part["binarizer"] == binarizer) & (part["positive"] == positive)]
                tables.append(_table(cells, place, results, has_truth=has_truth))
    return sorted(tables, key=lambda it: (not it.has_truth, it.at, -it.positive, it.binarizer == "", it.binarizer))


def ordered(metrics: Iterable[str]) -> list[str]:
    """Return metrics as they are shown: preferred ones, others by name, those of released code."""
    rank = {name: place for place, name in enumerate(PREFERRED)}
    return sorted(set(metrics), key=lambda name: (name.endswith("-legacy"), rank.get(name, len(rank)), name))


def _table(cells: pd.DataFrame, scores: pd.DataFrame, results: Results, *, has_truth: bool) -> ScoreTable:
    at, binarizer, positive = (cells[name].iloc[0] for name in _PLACE)
    metrics = [facts_of(name) for name in ordered(cells["metric"])]
    values: dict[tuple[str, str, str], Cell] = {}
    for row in cells.to_dict("records"):
        key = str(row["explainer"]), str(row["kind"]), str(row["metric"])
        mean, low, high = (float(row[end]) for end in ("mean", "low", "high"))
        values[key] = Cell(mean, low, high, int(row["n"]), int(row["n_undefined"]))
    names = sorted({(explainer, kind) for explainer, kind, _ in values}, key=row_order)
    columns = [[values.get((*name, facts.name)) for name in names] for facts in metrics]
    columns = [_marked(column, names, facts) for column, facts in zip(columns, metrics, strict=True)]
    masks: set[tuple[str, str]] = set()
    if binarizer and "is_mask" in scores:
        masks = set(zip(*(scores.loc[scores["is_mask"], name].astype(str) for name in _ROW), strict=True))
    rows = [
        Row(*name, role_of(*name), tuple(column[place] for column in columns), name in masks) for place, name in enumerate(names)
    ]
    shares = _shares(results, scores, int(positive)) if at == "pixel" and has_truth else None
    chance = tuple(facts.chance_level(shares) for facts in metrics)
    images = scores["image_id"].nunique()
    return ScoreTable(str(at), str(binarizer), int(positive), has_truth, images, tuple(metrics), chance, tuple(rows))


def row_order(name: tuple[str, str]) -> tuple[int, str, str]:
    """Return what (explainer, kind) are sorted by: predictions, explainers, null explainers, oracle."""
    explainer, kind = name
    return get_args(Role).index(role_of(explainer, kind)), explainer, kind


def _marked(column: list[Cell | None], names: Sequence[tuple[str, str]], facts: MetricFacts) -> list[Cell | None]:
    """Return a column with what follows from all of it: the normalised scores, and which are best."""

    def best(role: Role) -> float:
        cells = zip(column, names, strict=True)
        return facts.best(cell.mean for cell, name in cells if cell is not None and role_of(*name) == role)

    null, oracle, top = best("null"), best("oracle"), best("explainer")
    span = oracle - null
    marked: list[Cell | None] = []
    for cell, name in zip(column, names, strict=True):
        if cell is None:
            marked.append(None)
            continue
        normalised = (cell.mean - null) / span if isfinite(span) and span else nan
        is_best = role_of(*name) == "explainer" and isfinite(top) and round(cell.mean, DIGITS) == round(top, DIGITS)
        marked.append(Cell(cell.mean, cell.low, cell.high, cell.n, cell.n_undefined, normalised, is_best))
    return marked


def _shares(results: Results, scores: pd.DataFrame, positive: int) -> list[float]:
    table = results.dataset.table
    column = table.loc[table["image_id"].isin(set(scores["image_id"])), f"truth_{positive}_share"]
    return [float(share) for share in column]


# --- the score that speaks for a card ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lead:
    """The score by which a card is summed up, its images are drawn, and examples are chosen."""

    metric: str
    at: str
    binarizer: str
    positive: int

    def of(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Return its rows, of images with evidence."""
        place = {"metric": self.metric, "at": self.at, "binarizer": self.binarizer, "positive": self.positive}
        rows = scores["has_truth"].to_numpy(bool)
        for name, value in place.items():
            rows = rows & (scores[name] == value).to_numpy(bool)
        return scores[rows]

    def table(self, tables: Iterable[ScoreTable]) -> ScoreTable:
        """Return the table that holds it, of images with evidence."""
        place = (self.at, self.binarizer, self.positive, True)
        return next(it for it in tables if (it.at, it.binarizer, it.positive, it.has_truth) == place)


def lead_of(scores: pd.DataFrame, metric: str | None = None) -> Lead | None:
    """Return the score that speaks for a card; None: no map has one in which one value is better than another.

    Of metrics, the one asked for, else the first preferred one that takes masks, else the first. Of levels of truth, what tells
    the classes apart; of places and binarisers, where most scores of explainers are defined, then twice the mean, then grids.
    """
    known = scores[scores["has_truth"] & scores["value"].notna()]
    known = known[roles(known) == shown_role(known)]
    names = [name for name in ordered(known["metric"]) if facts_of(name).direction != "none" and metric in (None, name)]
    if not names:
        return None
    name = min(names, key=lambda one: (not facts_of(one).needs_mask, names.index(one)))
    places = known[known["metric"] == name].groupby(list(_PLACE)).size()

    def order(place: Any) -> tuple[int, int, bool, str, str]:
        at, binarizer, positive = place
        return -int(positive), -int(places[place]), binarizer != "two-mean", str(binarizer), str(at)

    at, binarizer, positive = min(places.index, key=order)
    return Lead(name, str(at), str(binarizer), int(positive))


def predictions(scores: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield ``right`` and ``wrong`` with the rows of images that the network decided so; none where nobody knows.

    Null explainers and the oracle that stand without a model are split by no network, and left out.
    """
    known = scores["predicted"].notna() & scores["label"].notna()
    rows = scores[known]
    right = (rows["predicted"] == rows["label"]).to_numpy(bool)
    for name, mask in (("right", right), ("wrong", ~right)):
        if mask.any():
            yield name, rows[mask]
