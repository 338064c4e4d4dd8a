"""A table as an HTML fragment, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import re
from html import escape
from math import isfinite, isnan
from typing import TYPE_CHECKING, Final

from miso_gen.report.tables import MISSING, Cell, Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LATEX: Final = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "[": "{[}",  # behind \\ it would be a length
}
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")
_ARROWS: Final = {"higher": " ↑", "lower": " ↓", "none": ""}
_BETTER: Final = {"higher": ", higher is better", "lower": ", lower is better", "none": ""}
_NEGATIVE: Final = re.compile(r"(?<![\w)])-(?=\d)")


def as_markdown(table: Table) -> str:
    """Return a table as Markdown: heading, caption, table, notes. Best numbers in bold, tie groups raised."""
    rule = ["---" if column.is_head else "--:" for column in table.columns]
    lines = [[markdown_text(column.name) + _ARROWS[column.direction] for column in table.columns], rule]
    lines += [[_in_markdown(cell, column, table, row) for cell, column in _pairs(table, row)] for row in table.rows]
    parts = [f"### {markdown_text(table.title)}"]
    parts += [markdown_text(table.caption)] if table.caption else []
    parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    notes = "\n".join(f"- {markdown_text(line)}" for line in table.lines if line != table.caption)
    return "\n\n".join([*parts, *([notes] if notes else [])]) + "\n"


def as_latex(table: Table) -> str:
    """Return a table as a floating ``table`` of LaTeX with rules of booktabs; notes under it."""
    columns = "".join("l" if column.is_head else "r" for column in table.columns)
    lines = [
        "% Needs \\usepackage{booktabs}; wide tables want \\usepackage{graphicx} and \\resizebox{\\linewidth}{!}{...}.",
        "\\begin{table}[tbp]",
        "\\centering\\small",
        f"\\caption{{{latex_text(table.title)}. {latex_text(table.caption)}}}".replace(". }", ".}"),
        f"\\label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', table.name)}}}",
        f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        "\\toprule",
        " & ".join(latex_text(column.name + _ARROWS[column.direction]) for column in table.columns) + " \\\\",
        "\\midrule",
    ]
    for place, row in enumerate(table.rows):
        if place and _is_apart(row) != _is_apart(table.rows[place - 1]):
            lines.append("\\midrule")
        lines.append(" & ".join(_in_latex(cell, column, table, row) for cell, column in _pairs(table, row)) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par\\smallskip\\footnotesize {latex_text(line)}" for line in table.lines if line != table.caption]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def as_csv(table: Table) -> str:
    """Return a table as CSV for machines: numbers unrounded, an empty field where there is none.

    First column ``role`` (method, prediction, null, oracle, published); then the columns, each number followed by the columns
    ``low``, ``high``, ``n`` and ``group`` that some row has.
    """
    made: list[tuple[str, Callable[[Cell], str]]] = []
    places: list[int] = []
    for place, column in enumerate(table.columns):
        cells = [row.cells[place] for row in table.rows]
        named: Callable[[Cell], str] = _data if column.is_head else lambda cell: _exact(cell.value)
        mine = [(column.name, named)]
        if any(isfinite(cell.low) for cell in cells):
            mine.append((f"{column.name} low", lambda cell: _exact(cell.low)))
            mine.append((f"{column.name} high", lambda cell: _exact(cell.high)))
        if any(cell.n is not None for cell in cells):
            mine.append((f"{column.name} n", lambda cell: "" if cell.n is None else str(cell.n)))
        if any(cell.letters or cell.mark for cell in cells):
            mine.append((f"{column.name} group", lambda cell: cell.letters or cell.mark.strip()))
        made += mine
        places += [place] * len(mine)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["role", *(name for name, _ in made)])
    for row in table.rows:
        found = (say(row.cells[place]) for place, (_, say) in zip(places, made, strict=True))
        writer.writerow([row.role, *("" if text == MISSING else text for text in found)])
    return out.getvalue()


def as_html(table: Table, *, titled: bool = True) -> str:
    """Return a table as a fragment of a page: caption, heads with scope, numbers with ``data-*``, as the tables of a card.

    Rows that are no methods stand in a second ``tbody``, so that sorting keeps them apart. Headings are buttons for the script of
    the report, which sorts.

    Args:
        table: The table.
        titled: Whether its caption begins with its title; not under a heading that says it.
    """
    name = escape(table.name, quote=True)
    title = escape(table.title, quote=True)
    lines = [
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">',
        f'<table class="scores" data-table="{name}">',
        f"<caption>{f'<strong>{escape(table.title)}.</strong> ' if titled else ''}{escape(table.caption)}</caption>",
        "<thead><tr>",
        *(_html_head(column) for column in table.columns),
        "</tr></thead>",
    ]
    for rows in _bodies(table):
        lines.append('<tbody class="apart">' if _is_apart(rows[0]) else "<tbody>")
        lines += [_html_row(table, row) for row in rows]
        lines.append("</tbody>")
    lines += ["</table>", "</div>"]
    notes = [f"<li>{escape(line)}</li>" for line in table.lines if line != table.caption]
    return "\n".join([*lines, *(['<ul class="notes">', *notes, "</ul>"] if notes else [])]) + "\n"


def markdown_text(text: str) -> str:
    """Return a text on one line so that Markdown, also in a table, shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def latex_text(text: str) -> str:
    """Return a text so that LaTeX prints it as it is; characters that it has no sign for are left."""
    one_line = " ".join(text.split())
    return "".join(_LATEX.get(letter, letter) for letter in one_line)


# --- cells ------------------------------------------------------------------------------------------------------------


def _is_apart(row: Row) -> bool:
    return row.role in ("prediction", "null", "oracle")


def _bodies(table: Table) -> Iterator[list[Row]]:
    """Yield the rows of methods and published numbers, then all others; nothing for neither."""
    for apart in (False, True):
        rows = [row for row in table.rows if _is_apart(row) == apart]
        if rows:
            yield rows


def _pairs(table: Table, row: Row) -> Sequence[tuple[Cell, Column]]:
    return list(zip(row.cells, table.columns, strict=True))


def _number(cell: Cell, column: Column, table: Table) -> str:
    """Return what a cell says, with its n where that is not the same in all."""
    text = cell.printed(column.digits)
    tell = cell.n is not None and table.common_n is None and not cell.is_missing
    return f"{text} (n {cell.n})" if tell else text


def _in_markdown(cell: Cell, column: Column, table: Table, row: Row) -> str:
    text = _number(cell, column, table)
    text = text if text == MISSING else markdown_text(text) if cell.text else text
    if cell.best:
        text = f"**{text}**"
    elif row.role == "published" and text != MISSING:
        text = f"*{text}*"
    return f"{text}<sup>{cell.letters}</sup>" if cell.letters else text


def _in_latex(cell: Cell, column: Column, table: Table, row: Row) -> str:
    plain = _number(cell, column, table)
    text = latex_text(plain)
    if not cell.text and plain != MISSING:
        text = _NEGATIVE.sub("$-$", text)
    if cell.best:
        text = f"\\textbf{{{text}}}"
    elif row.role == "published" and plain != MISSING:
        text = f"\\textit{{{text}}}"
    return f"{text}\\textsuperscript{{{latex_text(cell.letters)}}}" if cell.letters else text


def _html_head(column: Column) -> str:
    first = "ascending" if column.direction == "lower" else "descending"
    kind = ' class="text" data-kind="text"' if column.is_head else f' data-first="{first}"'
    arrow = _ARROWS[column.direction].strip()
    said = f'<span class="vh">{_BETTER[column.direction]}</span>' if arrow else ""
    shown = f' <span aria-hidden="true">{arrow}</span>{said}' if arrow else ""
    return f'<th scope="col" aria-sort="none"{kind}><button type="button">{escape(column.name)}{shown}</button></th>'


def _html_row(table: Table, row: Row) -> str:
    cells = []
    for place, (cell, column) in enumerate(_pairs(table, row)):
        value = escape(_data(cell), quote=True)
        if column.is_head:
            scope = ' scope="row"'
            shown = f"<em>{escape(cell.text)}</em>" if row.role == "published" and place else escape(cell.text)
            cells.append(f'<th{scope} data-value="{value}">{shown}</th>')
            continue
        if cell.is_missing:
            cells.append(f'<td data-value="">{MISSING}</td>')
            continue
        data = {"metric": column.metric or column.name, "scenario": column.scenario, "model": column.model}
        data |= {"explainer": column.explainer, "value": _data(cell)}
        data |= {"low": _exact(cell.low), "high": _exact(cell.high), "n": "" if cell.n is None else str(cell.n)}
        data |= {"group": cell.letters, "role": row.role}
        kept = {name: text for name, text in data.items() if text or name == "value"}
        said = " ".join(f'data-{name}="{escape(text, quote=True)}"' for name, text in kept.items())
        best = ' class="best"' if cell.best else ""
        shown = f'<span class="v">{escape(cell.printed(column.digits))}</span>'
        shown = f"<em>{shown}</em>" if row.role == "published" else shown
        letters = f"<sup>{escape(cell.letters)}</sup>" if cell.letters else ""
        n = f"<small>n {cell.n}</small>" if cell.n is not None and table.common_n is None else ""
        cells.append(f"<td {said}{best}>{shown}{letters}{n}</td>")
    names = escape(" ".join(table.head(row)), quote=True)
    return f'<tr class="{row.role}" data-row="{names}">{"".join(cells)}</tr>'


def _data(cell: Cell) -> str:
    """Return a cell for machines: its number, else its text."""
    return _exact(cell.value) or cell.text


def _exact(value: float) -> str:
    """Return a number so that reading it gives the same; empty: there is none."""
    return "" if isnan(value) else repr(float(value))
