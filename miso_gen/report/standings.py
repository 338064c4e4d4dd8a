"""Which network and explainer is best over all: a ranking over metrics and images, and who beats whom."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from miso_gen.errors import InputError
from miso_gen.metrics.summaries import UNIT, rank, summarise, unit_means
from miso_gen.report.comparison import APART, better_words, chosen_scenarios
from miso_gen.report.judged import facts_for, judged, names_of, of_roles, place_for, rows_at, with_methods
from miso_gen.report.tables import Cell, Column, Row, Table, head, words

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from miso_gen.report.results import Results

_EQUAL: Final = 12  #: digits after the point; scores that agree in them are alike


def ranking_table(
    results: Results,
    metrics: Sequence[str],
    scenarios: Sequence[str] | None = None,
    *,
    at: str | None = None,
    binarizer: str | None = None,
    positive: int | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Table:
    """Return the Monte-Carlo ranking of all networks and explainers over metrics and images, the best first, and their means.

    See :func:`miso_gen.metrics.summaries.rank`. Scenarios keep their number of images in every draw. Only methods are ranked;
    means of maps of predictions, null explainers and the oracle are printed below.

    Args:
        results: What is ranked.
        metrics: By which; each needs a direction.
        scenarios: Whose images; None: all.
        at: See :func:`~miso_gen.report.comparison.comparison_table`.
        binarizer: As above.
        positive: As above.
        draws: Draws.
        seed: Of what is drawn.

    Raises:
        UnknownNameError: There is no such metric, or no such scenario.
        InputError: A metric has no direction, there is no such place, or nothing to rank.
    """
    scores = judged(results)
    chosen = chosen_scenarios(scores, scenarios)
    parts, directions, notes = [], {}, []
    for name in metrics:
        direction = facts_for(name).direction
        if direction == "none":
            raise InputError(f"metrics must have a direction to rank by, got {name}, which has none. Leave it out.")
        directions[name] = direction
        place = place_for(scores, name, at=at, binarizer=binarizer, positive=positive)
        parts.append(rows_at(scores, name, place))
        notes.append(f"{name}: {place.words}; {better_words(direction)}.")
    table = with_methods(pd.concat(parts))
    table = table[table["scenario"].isin(chosen)]
    methods = of_roles(table, "explainer")
    names = [name for name in directions if (methods["metric"] == name).any()]
    if not names:
        raise InputError("results must have scores of explainers to rank, got none by these metrics. Score maps of explainers.")
    found = rank(methods, {name: directions[name] for name in names}, method="method", strata="scenario", draws=draws, seed=seed)
    done = int(found["draws"].iloc[0]) if len(found) else 0
    rows = _ranking_rows(found, table, names)
    return Table(
        "Ranking of networks and explainers",
        (
            *head("network", "explainer"),
            Column("place", direction="lower", digits=2, metric="mean-rank"),
            Column("best", direction="higher", digits=3, metric="probability-best"),
            *(Column(name, direction=directions[name], metric=name) for name in names),
        ),
        tuple(rows),
        f"Over {done} draws of images (with replacement, within scenarios) and of weights of the metrics: mean place, with the "
        "range that holds 90 % of draws; the share of draws in which a method is best; and its mean scores.",
        (
            f"Scenarios: {', '.join(chosen)}.",
            *notes,
            "An image on which some method has no score does not count for that metric."
            + ("" if done else " There is no image that all have a score of, so nothing could be ranked."),
        ),
        "ranking",
    )


def win_table(
    results: Results,
    metric: str,
    scenarios: Sequence[str] | None = None,
    *,
    at: str | None = None,
    binarizer: str | None = None,
    positive: int | None = None,
) -> Table:
    """Return the share of images on which the method of the row scores better than that of the column; ties count half.

    A score of an image is the mean over trainings. Images count on which both have one. The methods that win most come first;
    maps of predictions, null explainers and the oracle have rows below, and no columns.

    Args:
        results: What is compared.
        metric: By which; it needs a direction.
        scenarios: Whose images, together; None: all.
        at: See :func:`~miso_gen.report.comparison.comparison_table`.
        binarizer: As above.
        positive: As above.

    Raises:
        UnknownNameError: There is no such metric, or no such scenario.
        InputError: The metric has no direction, or there is no such place.
    """
    scores = judged(results)
    direction = facts_for(metric).direction
    if direction == "none":
        raise InputError(f"metric must have a direction to win by, got {metric}, which has none. Choose another.")
    place = place_for(scores, metric, at=at, binarizer=binarizer, positive=positive)
    chosen = chosen_scenarios(scores, scenarios)
    part = with_methods(rows_at(scores, metric, place))
    part = part[part["scenario"].isin(chosen)]
    roles = part.drop_duplicates("method").set_index("method")["role"]
    means = unit_means(part, "method").set_index(["method", *UNIT])["value"].unstack("method")
    values = means.round(_EQUAL) * (1.0 if direction == "higher" else -1.0)

    def cell(one: str, other: str) -> Cell:
        if one == other:
            return Cell()
        gap = (values[one] - values[other]).dropna().to_numpy(np.float64)
        share = float(((gap > 0) + 0.5 * (gap == 0)).mean()) if len(gap) else nan
        return Cell(share, n=len(gap))

    def wins(one: str) -> float:
        shares = [cell(one, other).value for other in methods]
        known = [share for share in shares if isfinite(share)]
        return sum(known) / len(known) if known else -1.0

    methods = sorted(roles.index[roles == "explainer"])
    methods = sorted(methods, key=lambda name: -wins(name))
    lines = [(name, "method") for name in methods]
    lines += [(name, role) for role in APART for name in sorted(roles.index[roles == role])]
    columns = [
        Column(f"{model} {explainer}".strip(), metric="win-share", digits=2, model=model, explainer=explainer)
        for model, explainer in map(names_of, methods)
    ]
    rows = [Row((*words(*names_of(name)), *(cell(name, other) for other in methods)), role) for name, role in lines]  # type: ignore[arg-type]
    return Table(
        f"Who beats whom by {metric}",
        (*head("network", "explainer"), *columns),
        tuple(rows),
        "Share of images on which the row scores better than the column; ties count half. 0.5: neither.",
        (f"{metric}: {place.words}; {better_words(direction)}.", f"Scenarios: {', '.join(chosen)}."),
        f"wins-{metric}",
    )


def _ranking_rows(found: pd.DataFrame, table: pd.DataFrame, names: Sequence[str]) -> list[Row]:
    """Return a row for each ranked method, then for each that is not ranked, with its means by metric."""
    means = {name: _plain_means(table[table["metric"] == name]) for name in names}

    def of(method: str) -> tuple[Cell, ...]:
        return tuple(means[name].get(method, Cell()) for name in names)

    rows = []
    for line in found.to_dict("records"):
        method = str(line["method"])
        rows.append(Row((*words(*names_of(method)), *_ranked(line), *of(method))))
    roles = table.drop_duplicates("method").set_index("method")["role"]
    for role in APART:
        apart = sorted(roles.index[roles == role])
        rows += [Row((*words(*names_of(name)), Cell(text="not ranked"), Cell(), *of(name)), role) for name in apart]
    return rows


def _plain_means(part: pd.DataFrame) -> dict[str, Cell]:
    """Return the mean of each method, without an interval."""
    if part.empty:
        return {}
    table = summarise(part, "method", interval="normal")
    return {str(row["method"]): Cell(float(row["mean"]), n=int(row["n"])) for row in table.to_dict("records")}


def _ranked(row: dict[Hashable, Any]) -> tuple[Cell, Cell]:
    place, low, high, best = (float(row[name]) for name in ("mean_rank", "low", "high", "best"))
    if not isfinite(place):
        return Cell(), Cell()
    text = f"{place:.2f} ({low:.3g} to {high:.3g})"
    return Cell(place, low, high, text=text), Cell(best)
