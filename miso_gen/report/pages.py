"""The report as pages: one file for each card, and one that links them. Each opens from disk, without a network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from miso_gen.errors import InputError, MisoGenError, MissingExtraError, OutputError, UnknownNameError, listing
from miso_gen.report.card import make_card, number, percent, role_words, with_interval, with_smaller_pictures
from miso_gen.report.cells import cards_of
from miso_gen.report.distributions import described
from miso_gen.report.figure import card_figure
from miso_gen.report.pictures import DIFFERENCE_COLOURS, TRUTH_COLOURS
from miso_gen.report.results import CLASSIFICATION, SCORES
from miso_gen.report.table_files import FORMATS, all_tables, table_html, write_files
from miso_gen.report.words import KINDS, NULL_WORDS, TERMS

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd

    from miso_gen.report.card import Card
    from miso_gen.report.results import Results
    from miso_gen.report.tables import Table

Interval = Literal["normal", "bootstrap"]

INDEX: Final = "index.html"
CARDS: Final = "cards"
LIMIT: Final = 1_500_000  #: bytes of a card, above which its pictures are made smaller
INDEX_LIMIT: Final = 2_000_000  #: bytes of the index, above which its last tables are links to files
_LEAST: Final = 0.1  #: share to which pictures are made smaller at once
_TOO_LARGE: Final = "This table is too large for this page."


@dataclass(frozen=True)
class Report:
    """Where a report is.

    Attributes:
        index: The page that links all.
        cards: One page for each network and scenario.
        figures: One picture for each card that has images of class 1.
        tables: Every table as Markdown, LaTeX, CSV and HTML.
    """

    index: Path
    cards: tuple[Path, ...]
    figures: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()


def write_report(
    results: Results,
    out: str | os.PathLike[str],
    *,
    title: str | None = None,
    interval: Interval = "normal",
    metric: str | None = None,
) -> Report:
    """Write a report; every page holds all that it shows.

    ``index.html`` links the cards and shows the tables that compare networks and explainers. ``cards/`` has
    ``MODEL-SCENARIO.html`` and the same as a picture, ``MODEL-SCENARIO.png``, see
    :func:`~miso_gen.report.figure.card_figure`: not of cards without images of class 1, nor where Matplotlib is not installed.
    ``tables/`` has the tables as files, see :func:`~miso_gen.report.table_files.write_tables`.

    Args:
        results: Scores, classification, maps, and what is known of networks.
        out: Folder; files of an earlier report are replaced.
        title: Heading; None: names the data set.
        interval: Of means, 95 %: ``normal``, as MISO reports it, or ``bootstrap``.
        metric: Score by which example images are chosen; None: the first mask metric, such as ``f-beta``.

    Raises:
        InputError: A table lacks columns, there is nothing to report, or a score is of an image that the data set has not.
        UnknownNameError: No score has this metric.
        OutputError: The folder can't be written.
        MissingExtraError: Jinja2 is not installed.
    """
    _check(results, interval, metric)
    folder = Path(out)
    heading = title or f"Report on {results.dataset.name} {results.dataset.version}"
    names = _file_names(cards_of(results))
    made: list[tuple[str, Card]] = []
    figures: list[Path] = []
    try:
        (folder / CARDS).mkdir(parents=True, exist_ok=True)
        for (model, scenario), name in names.items():
            figure = _figure(results, model, scenario, folder / CARDS / f"{name}.png")
            figures += [figure] if figure else []
            path = folder / CARDS / f"{name}.html"
            card = _write_card(path, results, model, scenario, heading, interval, metric, figure.name if figure else "")
            made.append((f"{CARDS}/{path.name}", card))
        tables = all_tables(results, interval=interval)
        files = write_files(tables, folder)
        page = _index(results, heading, made, tables)
        (folder / INDEX).write_text(page, "utf-8")
    except OSError as error:
        raise OutputError(f"{folder} must be a folder that can be written, got {error}. Choose another place.") from error
    return Report(folder / INDEX, tuple(folder / path for path, _ in made), tuple(figures), tuple(files))


def _figure(results: Results, model: str, scenario: str, path: Path) -> Path | None:
    """Write the figure of a card; None: it can't have one, and none of an earlier report is left."""
    try:
        return card_figure(results, model, scenario, path)
    except MisoGenError:
        path.unlink(missing_ok=True)
        return None


def _index(results: Results, title: str, cards: Sequence[tuple[str, Card]], tables: Sequence[Table]) -> str:
    """Return the page that links all, with as many tables as fit; of the others, links."""
    shown: list[str] = []
    room = INDEX_LIMIT - len(_render("index.html.j2", title=title, results=results, cards=cards, terms=TERMS, tables=[]).encode())
    for table in tables:
        text = table_html(table, tuple(FORMATS))
        if len(text.encode()) > room:
            text = table_html(replace(table, rows=(), notes=(), caption=_TOO_LARGE), tuple(FORMATS))
        room -= len(text.encode())
        shown.append(text)
    return _render("index.html.j2", title=title, results=results, cards=cards, terms=TERMS, tables=shown)


def _write_card(
    path: Path, results: Results, model: str, scenario: str, title: str, interval: Interval, metric: str | None, figure: str
) -> Card:
    """Write the page of a card, with smaller pictures where it would be too large; return the card."""
    card, share = make_card(results, model, scenario, interval=interval, metric=metric), 1.0
    for last in (False, False, True):
        page = _render(
            "card.html.j2",
            title=title,
            results=results,
            card=card,
            terms=TERMS,
            figure=figure,
            experiment=json.dumps(dict(results.experiment), indent=2, default=str, ensure_ascii=False),
            spread_words=described(card.spread.spreads) if card.spread else "",
        ).encode()
        pictures = sum(len(panel.picture.uri) for example in card.examples for panel in example.panels)
        if len(page) <= LIMIT or not pictures or last:
            break
        share *= min(0.9, max(_LEAST, 0.95 * (LIMIT - len(page) + pictures) / pictures))
        card = with_smaller_pictures(results, card, share)
    path.write_bytes(page)
    return card


def _check(results: Results, interval: str, metric: str | None) -> None:
    if interval not in get_args(Interval):
        raise InputError(f"interval must be one of {listing(get_args(Interval))}, got {interval!r}.")
    for name, table, columns in (("scores", results.scores, SCORES), ("classification", results.classification, CLASSIFICATION)):
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(f"table of {name} must have the columns {listing(missing)}, got {listing(map(str, table.columns))}.")
    if results.scores.empty and results.classification.empty:
        raise InputError("results must have scores or classification, got none. Score maps first.")
    known = _names(results.scores["metric"])
    if metric is not None and metric not in known:
        raise UnknownNameError("metric", metric, known)


def _names(column: pd.Series) -> list[str]:
    return sorted(set(column.astype(str)))


def _file_names(cards: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return a file name without its end for each card; names that would be one file get numbers."""
    found: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for model, scenario in cards:
        stem = re.sub(r"[^a-z0-9]+", "-", f"{model or 'maps'}-{scenario}".lower()).strip("-") or "card"
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name)
        found[model, scenario] = name
    return found


def _render(template: str, **values: Any) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text


def _exact(value: float) -> str:
    """Return a number as text for scripts, with six digits."""
    return f"{value:.6g}"


def _sentence(text: str) -> str:
    """Return a text with a capital first letter, the others as they are."""
    return text[:1].upper() + text[1:]


@cache
def _environment() -> Any:
    """Return the templates; text is escaped, unknown names are errors."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", "eval", "A report") from error
    loader = jinja2.PackageLoader("miso_gen.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "exact": _exact, "sentence": _sentence}
    environment.globals |= {
        "with_interval": with_interval,
        "role_words": role_words,
        "KINDS": KINDS,
        "NULLS": NULL_WORDS,
        "DIFFERENCE": [f"rgb{colour}" for colour in DIFFERENCE_COLOURS],
        "TRUTH": [f"rgb{colour}" for colour in TRUTH_COLOURS],
    }
    return environment
