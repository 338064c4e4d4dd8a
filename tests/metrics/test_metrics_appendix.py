"""The table of a paper's appendix: all families, what they declare, and three ways to write it down."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from miso_gen.errors import UnknownNameError
from miso_gen.metrics import DECISIONS, MAP_BINARIZERS, METRICS, MODEL_METRICS, metric_table
from miso_gen.metrics.appendix import COLUMNS, NOTHING, as_csv, as_latex, as_markdown

ROWS = metric_table()
COLUMN = r">\{\\raggedright\\arraybackslash\}p\{\\dimexpr (0\.\d+)\\linewidth-2\\tabcolsep\\relax\}"
BY_NAME = {(row["family"], row["name"]): row for row in ROWS}


def test_every_plug_in_has_a_row() -> None:
    families = METRICS, MODEL_METRICS, MAP_BINARIZERS, DECISIONS
    assert list(BY_NAME) == [(family.family, name) for family in families for name in family.names()]
    assert len(ROWS) == len(BY_NAME)
    for family in families:
        assert metric_table(family.family) == [row for row in ROWS if row["family"] == family.family]


def test_every_row_has_every_column() -> None:
    for row in ROWS:
        assert tuple(row) == tuple(COLUMNS)
        assert all(text and text == text.strip() and "\n" not in text and "``" not in text for text in row.values()), row
        assert row["what"] != NOTHING
        assert row["source"] != NOTHING


def test_what_a_row_says() -> None:
    dice = BY_NAME["metric", "dice"]
    assert dice == {
        "family": "metric",
        "name": "dice",
        "what": "Dice coefficient, also called F1: 2 TP / (2 TP + FP + FN).",
        "better": "higher",
        "range": "0 to 1",
        "chance": "p / (1/2 + p)",
        "takes": "binary",
        "truth": "mask",
        "histogram": "exact",
        "empty": "no truth: undefined; blank map: 0",
        "source": "MISO; Dice 1945",
    }
    assert BY_NAME["metric", "mae"]["range"] == "0 to infinity"
    assert BY_NAME["metric", "mae"]["better"] == "lower"
    assert BY_NAME["metric", "max-dice"]["histogram"] == "256 levels"
    assert BY_NAME["metric", "ssim"]["histogram"] == NOTHING
    assert BY_NAME["metric", "froc"]["truth"] == "instances"
    assert BY_NAME["model metric", "max-sensitivity"]["takes"].endswith("; needs explain")
    assert BY_NAME["model metric", "deletion"]["truth"] == NOTHING
    assert BY_NAME["map binarizer", "two-mean"]["range"] == "< 1 / factor"
    assert BY_NAME["decision rule", "all-max"]["range"] == "0 to 1"


def test_markdown() -> None:
    lines = as_markdown(metric_table("metric")).splitlines()
    assert len(lines) == 2 + len(METRICS.names())
    heads = lines[0].strip("| ").split(" | ")
    assert heads == list(COLUMNS.values())
    cells = lines[2 + METRICS.names().index("dice")].strip("| ").split(" | ")
    assert cells[heads.index("Name")] == "`dice`"
    assert all(line.replace("\\|", "").count("|") == len(heads) + 1 for line in lines)
    decisions = as_markdown(metric_table("decision rule")).splitlines()[0]
    assert decisions == "| Family | Name | What | Range | Source |"  # columns that say nothing are gone


def test_latex() -> None:
    text = as_latex(ROWS)
    lines = text.splitlines()
    assert lines[0].startswith(r"% Needs \usepackage{array,booktabs,longtable};")
    assert lines[1] == r"\begin{longtable}{@{}"
    columns = lines[2 : lines.index("@{}}")]
    assert len(columns) == len(COLUMNS)
    widths = [float(re.fullmatch(COLUMN, line)[1]) for line in columns]  # type: ignore[index]
    assert sum(widths) == pytest.approx(1, abs=1e-3)  # all of the line, less what lies between columns
    assert lines[-1] == r"\end{longtable}"
    body = lines[lines.index(r"\endhead") + 1 : -2]
    assert len(body) == len(ROWS)
    for line in body:
        assert line.replace(r"\&", "").count("&") == len(COLUMNS) - 1
        bare = line.replace(r"\textbackslash{}", "").replace(r"\textasciicircum{}", "").replace(r"\textasciitilde{}", "")
        assert not set(bare) & set("^~<>|")
    assert r"Tjoa \& Guan" in text
    assert r"min\_share" in text


def test_csv() -> None:
    assert list(csv.DictReader(io.StringIO(as_csv(ROWS)))) == ROWS


def test_unknown_family() -> None:
    with pytest.raises(UnknownNameError, match="family"):
        metric_table("metrics")


def test_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from miso_gen.errors import MissingExtraError\n"
        "from miso_gen.metrics.appendix import metric_table\n"
        "try:\n    metric_table()\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'miso-gen[eval]'" in done.stdout


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text("utf-8")


def test_the_page_has_the_tables() -> None:
    """``docs/metrics.md`` shows what this prints: after a change of a declaration, paste it anew."""
    plain = [row for row in metric_table("metric") if not row["name"].endswith("-legacy")]
    columns = ("name", "what", "better", "range", "chance", "takes", "truth", "histogram", "empty")
    assert as_markdown(plain, columns) in PAGE
    assert as_markdown(metric_table("map binarizer"), ("name", "what", "range", "source")) in PAGE
    assert as_markdown(metric_table("decision rule"), ("name", "what")) in PAGE


def test_the_page_names_every_score() -> None:
    assert [row["name"] for row in ROWS if f"`{row['name']}`" not in PAGE] == []
