"""Tables as data, and printed as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_gen.errors import InputError
from miso_gen.report.formats import as_csv, as_html, as_latex, as_markdown, latex_text, markdown_text
from miso_gen.report.tables import Cell, Column, Row, Table, head, marked_best, words


class Parsed(HTMLParser):
    """Cells of a fragment: (tag, attributes, text), by row; and the texts of captions."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[list[Any]]] = []
        self.bodies: list[str] = []
        self.captions: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        known = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([tag, known, ""])
        if tag == "tbody":
            self.bodies.append(known.get("class") or "")
        if tag == "caption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self.captions[-1] += data
        elif "td" in self.open or "th" in self.open:
            self.rows[-1][-1][2] += data


@pytest.fixture
def table() -> Table:
    nasty = r"a|b & 50% <i>_x_</i> \y {z} #1 $2 ~ ^"
    return Table(
        "Scores | of & all",
        (*head("network", "explainer"), Column("f|b", direction="higher"), Column("mae", direction="lower", scenario="evp")),
        (
            Row((*words(nasty, "one"), Cell(0.5123, 0.4813, 0.5433, 24, best=True, letters="a"), Cell(-0.25, n=24))),
            Row((*words("", "two"), Cell(0.1, 0.0, 0.4, 12, letters="ab"), Cell())),
            Row((*words("", "random"), Cell(0.2, n=24), Cell(text="not ranked")), "null"),
            Row((*words("", "paper"), Cell(0.9, text="0.90 ± 0.01"), Cell()), "published"),
        ),
        "What it is: 5 % of a*b.",
        ("A note_here.",),
        "my-table",
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "-"),
        (Cell(0.51234), "0.512"),
        (Cell(0.5, 0.469, 0.531), "0.500 ± 0.031"),
        (Cell(0.5, 0.38, 0.62), "0.50 ± 0.12"),
        (Cell(0.5, 0.5, 0.5), "0.500 ± 0.000"),
        (Cell(0.5, 0.5 - 1e-17, 0.5), "0.500 ± 0.000"),
        (Cell(0.97, 0.9612, 0.9788), "0.9700 ± 0.0088"),
        (Cell(0.5, 0.4999, 0.5001), "0.5000 ± 0.0001"),
        (Cell(144.399, 121.2, 167.598), "144 ± 23"),
        (Cell(1234.5, 234.5, 2234.5), "1234 ± 1000"),
        (Cell(0.4, 0.3, 0.62), "0.40 (0.30 to 0.62)"),
        (Cell(-0.0001, -0.1001, 0.0999), "0.00 ± 0.10"),
        (Cell(-0.25), "-0.250"),
        (Cell(0.5, math.nan, math.nan), "0.500"),
        (Cell(0.5, mark=" A"), "0.500 A"),
        (Cell(0.5, text="not ranked"), "not ranked"),
    ],
)
def test_numbers_are_rounded_by_their_interval(cell: Cell, text: str) -> None:
    assert cell.printed() == text


@given(st.floats(-1000, 1000), st.floats(0.001, 500))
def test_what_is_printed_is_the_number_within_its_rounding(value: float, half: float) -> None:
    shown, printed = Cell(value, value - half, value + half).printed().split(" ± ")
    digits = len(shown.partition(".")[2])
    assert len(printed.partition(".")[2]) == digits <= 4
    assert abs(float(shown) - value) <= 0.5000001 * 10.0**-digits
    assert abs(float(printed) - half) <= 0.5000001 * 10.0**-digits
    if 0.002 < half < 9.9:
        assert len(printed.replace(".", "").lstrip("0")) in (2, 3)  # two digits that count, three where rounding adds one


def test_markdown(table: Table) -> None:
    text = as_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(row) for row in cells} == {4}
    assert [cell.strip() for cell in cells[0]] == ["network", "explainer", "f\\|b ↑", "mae ↓"]
    assert [cell.strip() for cell in cells[1]] == ["---", "---", "--:", "--:"]
    assert cells[2][2].strip() == "**0.512 ± 0.031 (n 24)**<sup>a</sup>"
    assert cells[2][3].strip() == "-0.250 (n 24)"
    assert [cell.strip() for cell in cells[3]] == ["-", "two", "0.10 (0.00 to 0.40) (n 12)<sup>ab</sup>", "-"]
    assert cells[5][2].strip() == "*0.90 ± 0.01*"
    assert text.startswith("### Scores \\| of \\& all\n\nWhat it is: 5 % of a\\*b.\n\n|")
    assert text.endswith("- A note\\_here.\n")


def test_markdown_is_read_back_as_it_was(table: Table) -> None:
    shown = markdown_text(table.rows[0].cells[0].text)
    assert re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", shown) == table.rows[0].cells[0].text
    assert not re.search(r"(?<!\\)[|<>*_`$]", shown.replace("\\\\", ""))


def test_latex(table: Table) -> None:
    text = as_latex(table)
    assert text.count("\\begin{") == text.count("\\end{") == 2
    assert "\\usepackage{booktabs}" in text
    body = text[text.index("\\toprule") : text.index("\\bottomrule")].splitlines()
    rows = [line for line in body if line.endswith("\\\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [3] * 5
    assert rows[0] == "network & explainer & f\\textbar{}b $\\uparrow$ & mae $\\downarrow$ \\\\"
    assert "\\textbf{0.512 $\\pm$ 0.031 (n 24)}\\textsuperscript{a} & $-$0.250 (n 24) \\\\" in rows[1]
    assert rows[2] == "- & two & 0.10 (0.00 to 0.40) (n 12)\\textsuperscript{ab} & - \\\\"
    assert rows[4] == "- & \\textit{paper} & \\textit{0.90 $\\pm$ 0.01} & - \\\\"
    assert body.count("\\midrule") == 3  # under the head, and on both sides of what is not ranked
    assert "\\label{tab:my-table}" in text


def test_latex_escapes() -> None:
    said = latex_text("a&b %c $d #e _f {g} ~h ^i \\j <k> |l| [m] ±")
    assert said == (
        r"a\&b \%c \$d \#e \_f \{g\} \textasciitilde{}h \textasciicircum{}i \textbackslash{}j \textless{}k\textgreater{} "
        r"\textbar{}l\textbar{} {[}m] $\pm$"
    )


def test_csv_holds_every_digit(table: Table) -> None:
    found = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert list(found[0]) == [
        "role", "network", "explainer", "f|b", "f|b low", "f|b high", "f|b n", "f|b group", "mae", "mae n",
    ]  # fmt: skip
    assert [line["role"] for line in found] == ["method", "method", "null", "published"]
    assert found[0]["network"] == table.rows[0].cells[0].text
    assert found[1]["network"] == ""
    for place, name in ((2, "f|b"), (3, "mae")):
        for line, row in zip(found, table.rows, strict=True):
            cell = row.cells[place]
            assert line[name] == ("" if math.isnan(cell.value) else repr(cell.value))
            assert line[f"{name} n"] == ("" if cell.n is None else str(cell.n))
    assert [line["f|b low"] for line in found] == ["0.4813", "0.0", "", ""]
    assert [line["f|b group"] for line in found] == ["a", "ab", "", ""]


def test_html(table: Table) -> None:
    text = as_html(table)
    found = Parsed(text)
    assert found.bodies == ["", "apart"]
    assert [cell[1]["scope"] for cell in found.rows[0]] == ["col"] * 4
    assert [cell[1].get("data-first") for cell in found.rows[0]] == [None, None, "descending", "ascending"]
    order = [0, 1, 3, 2]  # the null explainer stands below all others
    for cells, place in zip(found.rows[1:], order, strict=True):
        row = table.rows[place]
        assert [cell[0] for cell in cells] == ["th", "th", "td", "td"]
        assert [cell[1].get("scope") for cell in cells] == ["row", "row", None, None]
        for (_, known, shown), cell, column in zip(cells[2:], row.cells[2:], table.columns[2:], strict=True):
            if cell.is_missing:
                assert (known["data-value"], shown) == ("", "-")
                continue
            assert known["data-value"] == (repr(cell.value) if not math.isnan(cell.value) else cell.text)
            assert known["data-metric"] == column.name
            assert known.get("data-n") == (None if cell.n is None else str(cell.n))
            assert known.get("data-low") == (None if math.isnan(cell.low) else repr(cell.low))
            assert known.get("data-group", "") == cell.letters
            assert known.get("class") == ("best" if cell.best else None)
            assert shown.startswith(cell.printed())
    assert found.rows[1][0][2] == table.rows[0].cells[0].text
    assert found.captions == ["Scores | of & all. What it is: 5 % of a*b."]
    assert not re.search(r"https?:|<script|<style", text)


def test_n_is_told_once_where_it_is_the_same() -> None:
    rows = tuple(Row((*words(name), Cell(0.1, n=7), Cell(0.2, n=7))) for name in "ab")
    table = Table("t", (*head("x"), Column("y"), Column("z")), rows)
    assert table.common_n == 7
    for printed in (as_markdown(table), as_latex(table), as_html(table)):
        assert printed.count("7") == 1 + (printed.count('data-n="7"'))
    other = Table("t", table.columns, (*rows, Row((*words("c"), Cell(0.1, n=8), Cell()))))
    assert other.common_n is None
    assert as_markdown(other).count("(n 7)") == 4


def test_ties_in_the_printed_digits_are_all_best() -> None:
    values = [(0.5004, "method"), (0.4996, "method"), (0.4994, "method"), (0.9, "oracle"), (math.nan, "method")]
    rows = [Row((*words("x"), Cell(value)), role) for value, role in values]  # type: ignore[arg-type]
    assert [row.cells[1].best for row in marked_best(rows, 1, "higher")] == [True, True, False, False, False]
    assert [row.cells[1].best for row in marked_best(rows, 1, "lower")] == [False, False, True, False, False]
    assert marked_best(rows, 1, "none") == rows
    assert marked_best(rows[-1:], 1, "higher") == rows[-1:]


def test_a_table_must_be_one() -> None:
    with pytest.raises(InputError, match=r"rows must have 2 cells, got 1"):
        Table("t", (*head("x"), Column("y")), (Row(words("a")),))
    with pytest.raises(InputError, match=r"columns must begin with those that name rows"):
        Table("t", (Column("y"), *head("x")), ())


def test_a_table_without_rows_is_printed() -> None:
    table = Table("Nothing", (*head("x"), Column("y")), ())
    assert as_markdown(table).count("\n|") == 2
    assert as_csv(table) == "role,x,y\n"
    assert Parsed(as_html(table)).bodies == []
    assert "\\bottomrule" in as_latex(table)
