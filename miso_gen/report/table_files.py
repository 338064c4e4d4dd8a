"""All tables of a report: the comparison and those of papers, as files and as a fragment of a page."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from miso_gen.errors import OutputError, UnknownNameError
from miso_gen.report.cells import ordered
from miso_gen.report.comparison import comparison_table
from miso_gen.report.formats import as_csv, as_html, as_latex, as_markdown
from miso_gen.report.judged import facts_for, judged
from miso_gen.report.paper_tables import paper_tables
from miso_gen.report.standings import ranking_table, win_table
from miso_gen.report.tables import Table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from miso_gen.metrics.summaries import IntervalName
    from miso_gen.report.results import Results

TABLES: Final = "tables"  #: folder of the files
FORMATS: Final[dict[str, Callable[[Table], str]]] = {"md": as_markdown, "tex": as_latex, "csv": as_csv, "html": as_html}
METRICS: Final = ("f-beta", "auroc", "relevance-mass", "pointing-game")  #: compared where nothing else is asked for


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
    return write_files(all_tables(results, metrics, interval=interval, draws=draws), out)


def write_files(tables: Sequence[Table], out: str | os.PathLike[str]) -> list[Path]:
    """Write tables to ``out/tables/NAME.md``, ``.tex``, ``.csv`` and ``.html``, and return the files, table by table.

    Raises:
        OutputError: The folder can't be written.
    """
    folder = Path(out) / TABLES
    paths = []
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
    return "".join(table_html(table) for table in all_tables(results, metrics, interval=interval, draws=draws))


def table_html(table: Table, files: Sequence[str] = ()) -> str:
    """Return a heading of level 3 with a table below it.

    Args:
        table: The table.
        files: Kinds of files of it that lie in ``tables/`` beside the page, to be linked.
    """
    name, title = escape(table.name, quote=True), escape(table.title, quote=True)
    links = " · ".join(f'<a href="{TABLES}/{name}.{kind}" aria-label="{title} as {kind}">{kind}</a>' for kind in files)
    linked = f'<p class="notes">As a file: {links}</p>\n' if links else ""
    return f'<h3 id="table-{name}">{title}</h3>\n{as_html(table, titled=False)}{linked}'
