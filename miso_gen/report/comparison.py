"""Networks x explainers x scenarios: tables of means with tie groups, a ranking, who beats whom; and all tables as files."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from miso_gen.errors import InputError, OutputError, UnknownNameError
from miso_gen.metrics.summaries import UNIT, compare, rank, summarise, unit_means
from miso_gen.report.cells import DIGITS, ordered
from miso_gen.report.formats import as_csv, as_html, as_latex, as_markdown
from miso_gen.report.judged import (
    facts_for,
    judged,
    names_of,
    of_roles,
    place_for,
    rows_at,
    with_methods,
)
from miso_gen.report.paper_tables import paper_tables
from miso_gen.report.tables import Cell, Column, Row, RowRole, Table, head, words

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from miso_gen.metrics.summaries import IntervalName, Subset
    from miso_gen.report.results import Results

TABLES: Final = "tables"  #: folder of the files
FORMATS: Final[dict[str, Callable[[Table], str]]] = {"md": as_markdown, "tex": as_latex, "csv": as_csv, "html": as_html}
METRICS: Final = ("f-beta", "auroc", "relevance-mass", "pointing-game")  #: compared where nothing else is asked for
TESTED: Final = 25  #: methods of which all pairs are tested; of more, the best: the least chance that is drawn is 1 / 10000
_ALPHA: Final = 0.05
_EQUAL: Final = 12  #: digits after the point; scores that agree in them are alike
_APART: Final[tuple[RowRole, ...]] = ("prediction", "null", "oracle")


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
        InputError: There is no such place, or an image is none of the data set.
    """
    scores = judged(results)
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    chosen = _scenarios(scores, scenarios)
    columns, found, notes = list(head("network", "explainer")), [], []
    for name in metrics:
        place = place_for(scores, name, at=at, binarizer=binarizer, positive=positive)
        part = with_methods(rows_at(scores, name, place))
        facts = facts_for(name)
        notes.append(f"{name}: {place.words}; {_better(facts.direction)}.")
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
        at: See :func:`comparison_table`.
        binarizer: As above.
        positive: As above.
        draws: Draws.
        seed: Of what is drawn.

    Raises:
        UnknownNameError: There is no such metric, or no such scenario.
        InputError: A metric has no direction, there is no such place, or nothing to rank.
    """
    scores = judged(results)
    chosen = _scenarios(scores, scenarios)
    parts, directions, notes = [], {}, []
    for name in metrics:
        direction = facts_for(name).direction
        if direction == "none":
            raise InputError(f"metrics must have a direction to rank by, got {name}, which has none. Leave it out.")
        directions[name] = direction
        place = place_for(scores, name, at=at, binarizer=binarizer, positive=positive)
        parts.append(rows_at(scores, name, place))
        notes.append(f"{name}: {place.words}; {_better(direction)}.")
    table = with_methods(pd.concat(parts))
    table = table[table["scenario"].isin(chosen)]
    methods = of_roles(table, "explainer")
    names = [name for name in directions if (methods["metric"] == name).any()]
    if not names:
        raise InputError("results must have scores of explainers to rank, got none by these metrics. Score maps of explainers.")
    kept = {name: directions[name] for name in names}
    found = rank(methods, kept, method="method", strata="scenario", draws=draws, seed=seed)
    done = int(found["draws"].iloc[0]) if len(found) else 0
    means = {name: _plain_means(table[table["metric"] == name]) for name in names}
    rows = [
        Row((*words(*names_of(str(row["method"]))), *_ranked(row), *(means[name].get(row["method"], Cell()) for name in names)))
        for row in found.to_dict("records")
    ]
    roles = table.drop_duplicates("method").set_index("method")["role"]
    for role in _APART:
        for method in sorted(roles.index[roles == role]):
            cells = (Cell(text="not ranked"), Cell(), *(means[name].get(method, Cell()) for name in names))
            rows.append(Row((*words(*names_of(method)), *cells), role))
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
        at: See :func:`comparison_table`.
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
    chosen = _scenarios(scores, scenarios)
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
    lines += [(name, role) for role in _APART for name in sorted(roles.index[roles == role])]
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
        (f"{metric}: {place.words}; {_better(direction)}.", f"Scenarios: {', '.join(chosen)}."),
        f"wins-{metric}",
    )


def comparison_tables(
    results: Results, metrics: Sequence[str] | None = None, *, interval: IntervalName = "normal", draws: int = 10_000
) -> list[Table]:
    """Return comparison, ranking and win matrix of maps of cells and of maps of pixels; none where no explainer was scored.

    Args:
        results: What is compared.
        metrics: By which; None: those of :data:`METRICS` that were scored, else the first that has a direction.
        interval: Of means.
        draws: Of the ranking.

    Raises:
        UnknownNameError: A metric was not scored.
    """
    scores = judged(results)
    known = scores[(scores["role"] == "explainer") & scores["has_truth"] & scores["value"].notna()]
    for name in metrics or ():
        if not (scores["metric"] == name).any():
            raise UnknownNameError("metric", name, sorted(scores["metric"].astype(str).unique()))
    tables = []
    for at in sorted(known["at"].unique()):
        there = [name for name in ordered(known.loc[known["at"] == at, "metric"]) if facts_for(name).direction != "none"]
        names = [name for name in METRICS if name in there] or there[:1]
        names = names if metrics is None else [name for name in metrics if name in there]
        made = [comparison_table(results, name, at=at, interval=interval) for name in names]
        if names:
            made += [ranking_table(results, names, at=at, draws=draws), win_table(results, names[0], at=at)]
        end = "" if known["at"].nunique() == 1 else f", maps of {'cells' if at == 'grid' else 'pixels'}"
        tables += [replace(it, title=it.title + end, name=f"{it.name}-{at}") for it in made]
    return tables


def all_tables(
    results: Results, metrics: Sequence[str] | None = None, *, interval: IntervalName = "normal", draws: int = 10_000
) -> list[Table]:
    """Return the comparison, see :func:`comparison_tables`, and the tables of papers that the results fill."""
    return [*comparison_tables(results, metrics, interval=interval, draws=draws), *paper_tables(results)]


def write_tables(
    results: Results,
    out: str | os.PathLike[str],
    *,
    metrics: Sequence[str] | None = None,
    interval: IntervalName = "normal",
    draws: int = 10_000,
) -> list[Path]:
    """Write every table to ``out/tables/``, as Markdown, LaTeX, CSV and a fragment of HTML.

    Args:
        results: What is printed.
        out: Folder; files of an earlier call are replaced.
        metrics: Of the comparison, see :func:`comparison_tables`.
        interval: Of its means.
        draws: Of its ranking.

    Returns:
        The files, table by table.

    Raises:
        OutputError: The folder can't be written.
    """
    folder = Path(out) / TABLES
    paths = []
    tables = all_tables(results, metrics, interval=interval, draws=draws)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in tables:
            for suffix, printed in FORMATS.items():
                path = folder / f"{table.name}.{suffix}"
                path.write_text(printed(table), "utf-8", newline="\n")
                paths.append(path)
    except OSError as error:
        raise OutputError(f"{folder} must be a folder that can be written, got {error}. Choose another place.") from error
    return paths


def comparison_html(
    results: Results, *, metrics: Sequence[str] | None = None, interval: IntervalName = "normal", draws: int = 10_000
) -> str:
    """Return all tables as a fragment of a page; empty: there are none.

    Above each table stands a heading of level 3, to which pages can link as ``#table-NAME``. The classes are those of the cards
    (``scroll``, ``scores``, ``best``, roles of rows); headings are buttons, which the script of the report makes sort.
    """
    return "".join(
        f'<h3 id="table-{escape(table.name, quote=True)}">{escape(table.title)}</h3>\n{as_html(table, titled=False)}'
        for table in all_tables(results, metrics, interval=interval, draws=draws)
    )


# --- cells ------------------------------------------------------------------------------------------------------------

_Found = dict[str, tuple[RowRole, Cell]]  #: method -> what it is, and its number


def _better(direction: Literal["higher", "lower", "none"]) -> str:
    return "no value is better" if direction == "none" else f"{direction} is better"


def _scenarios(scores: pd.DataFrame, asked: Sequence[str] | None) -> list[str]:
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
    order: tuple[RowRole, ...] = ("method", *_APART)
    rows = []
    for name in sorted(roles, key=lambda name: (order.index(roles[name]), name)):
        cells = (column[name][1] if name in column else Cell() for column in columns)
        rows.append(Row((*words(*names_of(name)), *cells), roles[name]))
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
