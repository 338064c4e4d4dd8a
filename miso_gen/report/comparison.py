"""Networks x explainers x scenarios: tables of means with intervals, and of which can't be told apart."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd

from miso_gen.errors import UnknownNameError
from miso_gen.metrics.summaries import compare, summarise
from miso_gen.report.cells import DIGITS
from miso_gen.report.judged import facts_for, judged, names_of, of_roles, place_for, rows_at, with_methods
from miso_gen.report.tables import Cell, Column, Row, RowRole, Table, head, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miso_gen.metrics.summaries import IntervalName, Subset
    from miso_gen.report.results import Results

TESTED: Final = 25  #: methods of which all pairs are tested; of more, the best: the least chance that is drawn is 1 / 10000
_ALPHA: Final = 0.05
APART: Final[tuple[RowRole, ...]] = ("prediction", "null", "oracle")  #: rows that are not ranked, in their order


def comparison_table(
    results: Results,
    metric: str | Sequence[str],
    scenarios: Sequence[str] | None = None,
    *,
    at: str | None = None,
    binarizer: str | None = None,
    positive: int | None = None,
    subset: Subset = "all",
    interval: IntervalName = "normal",
) -> Table:
    """Return the mean of each network and explainer on each scenario, over images with evidence.

    The best mean is bold, and what is printed alike. Two that share a letter can't be told apart: paired permutation tests of all
    pairs on the images that both have, with Holm's correction, at 5 %. Maps of predictions, null explainers and the oracle
    stand apart, and are neither tested nor best.

    Args:
        results: What is compared.
        metric: One or several, a column for each and each scenario.
        scenarios: Columns; None: all that have scores.
        at: ``grid`` or ``pixel``; None: where most is defined. A place is chosen for each metric by itself.
        binarizer: What made masks; None: twice the mean before others.
        positive: Level of truth; None: the highest scored.
        subset: ``all`` images, or those whose class the network got right (``correct``). Null explainers and the oracle, who ask
            no network, keep all.
        interval: Of means, 95 %.

    Raises:
        UnknownNameError: There is no such metric, or no such scenario.
        InputError: There is no such place, an image is none of the data set, or nobody knows what a network decided, which
            ``correct`` needs.
    """
    scores = judged(results)
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    chosen = chosen_scenarios(scores, scenarios)
    columns, found, notes = list(head("network", "explainer")), [], []
    for name in metrics:
        place = place_for(scores, name, at=at, binarizer=binarizer, positive=positive)
        part = with_methods(rows_at(scores, name, place))
        facts = facts_for(name)
        notes.append(f"{name}: {place.words}; {better_words(facts.direction)}.")
        for scenario in chosen:
            title = scenario if len(metrics) == 1 else f"{name}, {scenario}"
            columns.append(Column(title, direction=facts.direction, metric=name, scenario=scenario))
            found.append(_means(part[part["scenario"] == scenario], name, facts.direction, subset, interval))
            notes += _too_few(title, found[-1])
    if of_roles(scores, "explainer").groupby(["model", "explainer"]).ngroups > TESTED:
        notes.append(f"Pairs are tested of the {TESTED} best of each column; the others have no letter.")
    if subset == "correct":
        notes.append("Images whose class the network got right; null explainers and the oracle keep all.")
    rows = _joined(found)
    return Table(
        f"{' and '.join(metrics)} by network, explainer and scenario",
        tuple(columns),
        tuple(rows),
        "Mean over images with evidence and its interval of 95 %. Bold: the best mean. Methods that share a letter, also with "
        "the best, can't be told apart (paired permutation tests, Holm, 5 %). Null explainers know nothing of the "
        "network, the oracle is the truth itself; they and maps of predictions are not ranked.",
        tuple(notes),
        "comparison-" + "-".join(metrics),
    )


# --- cells ------------------------------------------------------------------------------------------------------------

_Found = dict[str, tuple[RowRole, Cell]]  #: method -> what it is, and its number


def better_words(direction: Literal["higher", "lower", "none"]) -> str:
    """Return which numbers are better, in words."""
    return "no value is better" if direction == "none" else f"{direction} is better"


def chosen_scenarios(scores: pd.DataFrame, asked: Sequence[str] | None) -> list[str]:
    """Return the scenarios asked for, or all.

    Raises:
        UnknownNameError: One has no scores.
    """
    known = sorted(scores["scenario"].astype(str).unique())
    for name in asked or ():
        if name not in known:
            raise UnknownNameError("scenario", name, known)
    return known if asked is None else list(dict.fromkeys(asked))


def _means(
    part: pd.DataFrame,
    metric: str,
    direction: Literal["higher", "lower", "none"],
    subset: Subset,
    interval: IntervalName,
) -> _Found:
    """Return the mean of each method of one metric and scenario, the best marked, with letters."""
    found: _Found = {}
    if part.empty:
        return found
    for role, rows in part.groupby("role", sort=False):
        keeps = subset == "all" or role in ("null", "oracle")
        table = summarise(rows, "method", interval=interval, subset="all" if keeps else subset)
        for row in table.to_dict("records"):
            kind: RowRole = "method" if role == "explainer" else role  # type: ignore[assignment]
            found[str(row["method"])] = kind, Cell(float(row["mean"]), float(row["low"]), float(row["high"]), int(row["n"]))
    if direction == "none":
        return found
    letters = _letters(of_roles(part, "explainer"), metric, direction, subset, found)
    means = [cell.value for role, cell in found.values() if role == "method" and isfinite(cell.value)]
    if not means:
        return found
    top = max(means) if direction == "higher" else min(means)
    for name, (role, cell) in found.items():
        is_best = role == "method" and isfinite(cell.value) and round(cell.value, DIGITS) == round(top, DIGITS)
        found[name] = role, replace(cell, best=is_best, letters=letters.get(name, ""))
    return found


def _too_few(title: str, found: _Found) -> list[str]:
    """Return a line where there are too few images to tell any two methods apart."""
    numbers = [cell.n or 0 for role, cell in found.values() if role == "method" and isfinite(cell.value)][:TESTED]
    pairs, most = len(numbers) * (len(numbers) - 1) // 2, max(numbers, default=0)
    if not pairs or pairs * 2.0 ** (1 - most) <= _ALPHA:
        return []
    return [f"{title}: {most} images are too few to tell any two of {len(numbers)} methods apart."]


def _letters(
    rows: pd.DataFrame, metric: str, direction: Literal["higher", "lower"], subset: Subset, found: _Found
) -> dict[str, str]:
    """Return the tie groups of methods, of at most :data:`TESTED`; none for fewer than two."""
    sign = -1.0 if direction == "higher" else 1.0
    known = {name: cell.value * sign for name, (role, cell) in found.items() if role == "method" and isfinite(cell.value)}
    best = sorted(known, key=lambda name: (known[name], name))[:TESTED]
    if len(best) < 2:
        return {}
    rows = rows[rows["method"].isin(best)]
    return compare(rows, metric=metric, better=direction, method="method", subset=subset, alpha=_ALPHA).letters


def _joined(columns: Sequence[_Found]) -> list[Row]:
    """Return a row for each method, with a cell of each column: methods, predictions, null explainers, the oracle."""
    roles: dict[str, RowRole] = {name: role for column in columns for name, (role, _) in column.items()}
    order: tuple[RowRole, ...] = ("method", *APART)
    rows = []
    for name in sorted(roles, key=lambda name: (order.index(roles[name]), name)):
        cells = (column[name][1] if name in column else Cell() for column in columns)
        rows.append(Row((*words(*names_of(name)), *cells), roles[name]))
    return rows
