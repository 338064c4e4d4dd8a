"""The table of all scores, as a paper's appendix needs it: what each declares of itself, as rows, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from miso_gen.metrics.interfaces import Declared, Metric, ModelMetric

Row = dict[str, str]  #: a text for each of :data:`COLUMNS`

#: Heads of the columns, by key of a row.
COLUMNS: Final = {
    "family": "Family",
    "name": "Name",
    "what": "What",
    "better": "Better",
    "range": "Range",
    "chance": "Chance",
    "takes": "Takes",
    "truth": "Truth",
    "histogram": "Histogram",
    "empty": "Empty cases",
    "source": "Source",
}
#: Shares of the width of a page that the columns ask for, one against the other.
_WIDTHS: Final = {
    "family": 8, "name": 14, "what": 26, "better": 6, "range": 7, "chance": 9,
    "takes": 8, "truth": 7, "histogram": 8, "empty": 14, "source": 14,
}  # fmt: skip
NOTHING: Final = "-"  #: text where there is nothing to say
_CASES: Final = {"no_truth": "no truth", "full_truth": "full truth", "blank_map": "blank map", "constant_map": "constant map"}
_SPECIAL: Final = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def metric_table(family: str | None = None) -> list[Row]:
    """Return a row for each plug-in of the families that score: a text for each of :data:`COLUMNS`, ``-`` where there is none.

    - ``family``: ``metric`` (map against truth), ``model metric``, ``map binarizer`` or ``decision rule``;
    - ``what``: first line of its documentation, as plain text;
    - ``better``: ``higher`` or ``lower``;
    - ``range``: least and greatest score; of a binarizer, the share of a map that can be True;
    - ``chance``: score of a large random map, in p, the share of pixels with evidence;
    - ``takes``: what the map must be; of a model metric also what it needs beside model, images, maps and targets;
    - ``truth``: what the truth must be;
    - ``histogram``: whether it follows from the joint histogram of map and truth, so that tiles can be streamed: ``exact``, or
      the levels that its definition has;
    - ``empty``: scores where there is little to score;
    - ``source``: paper, and equation or section.

    Args:
        family: Rows of one family; None: all.

    Raises:
        MissingExtraError: torch is not installed.
        UnknownNameError: There is no such family.
    """
    from miso_gen import metrics  # by the door, which says what is missing
    from miso_gen.errors import UnknownNameError

    makers: dict[str, Callable[[], list[Row]]] = {
        metrics.METRICS.family: lambda: [_metric(cls()) for _, cls in metrics.METRICS],
        metrics.MODEL_METRICS.family: lambda: [_model_metric(cls()) for _, cls in metrics.MODEL_METRICS],
        metrics.MAP_BINARIZERS.family: lambda: [
            _row(metrics.MAP_BINARIZERS.family, cls, range=cls.bound) for _, cls in metrics.MAP_BINARIZERS
        ],
        metrics.DECISIONS.family: lambda: [
            _row(metrics.DECISIONS.family, cls, range=NOTHING if cls.legacy else "0 to 1") for _, cls in metrics.DECISIONS
        ],
    }
    if family is not None and family not in makers:
        raise UnknownNameError("family", family, makers)
    return [row for name, make in makers.items() if family in (None, name) for row in make()]


def as_markdown(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Return rows as a Markdown table of some columns; None: of those that say something."""
    keys = list(columns or _told(rows))
    lines = [[COLUMNS[key] for key in keys], ["---"] * len(keys)]
    lines += [[_code(row, key).replace("|", "\\|") for key in keys] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Return rows as a ``longtable`` of LaTeX of some columns, as wide as the page; None: of those that say something."""
    keys = list(columns or _told(rows))
    head = " & ".join(COLUMNS[key] for key in keys)
    lines = [
        "% Needs \\usepackage{array,booktabs,longtable}; all columns together want \\footnotesize and a page on its side.",
        "\\begin{longtable}{@{}",
        *(_column(share) for share in _shares(keys)),
        "@{}}",
        *("\\toprule", f"{head} \\\\", "\\midrule", "\\endhead"),
    ]
    lines += [" & ".join(_latex(row[key]) for key in keys) + " \\\\" for row in rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{longtable}"]) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV: a head of keys, and every column."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _metric(metric: Metric) -> Row:
    histogram = NOTHING if not metric.joint else "exact" if metric.levels is None else f"{metric.levels} levels"
    return _declared("metric", metric, chance=metric.chance or NOTHING, truth=metric.truth, histogram=histogram)


def _model_metric(metric: ModelMetric) -> Row:
    needs = sorted(metric.needs - {"truth"})
    takes = f"{metric.takes}; needs {', '.join(needs)}" if needs else metric.takes
    truth = metric.truth if "truth" in metric.needs else NOTHING
    return _declared("model metric", metric, truth=truth, takes=takes)


def _declared(family: str, metric: Declared, **more: str) -> Row:
    low, high = (_number(value) for value in metric.range)
    better = NOTHING if metric.direction == "none" else metric.direction
    empty = "; ".join(_cases(metric)) or NOTHING
    return _row(
        family, type(metric), **{"better": better, "range": f"{low} to {high}", "takes": metric.takes, "empty": empty, **more}
    )


def _cases(metric: Declared) -> Iterator[str]:
    for key, value in metric.empty._asdict().items():  # type: ignore[attr-defined]  # both families declare it
        if value is not None:
            yield f"{_CASES[key]}: {_number(value)}"


def _row(family: str, cls: type, **more: str) -> Row:
    known = {"family": family, "name": cls.type_name, "what": _what(cls), "source": cls.source}  # type: ignore[attr-defined]
    return {key: (known | more).get(key, NOTHING) for key in COLUMNS}


def _what(cls: type) -> str:
    """Return the first line of the documentation, without marks of code."""
    return (cls.__doc__ or "").strip().partition("\n")[0].replace("``", "")


def _number(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    return f"{value:g}"


def _told(rows: Sequence[Row]) -> list[str]:
    return [key for key in COLUMNS if any(row[key] != NOTHING for row in rows)]


def _shares(keys: Sequence[str]) -> Iterator[float]:
    """Yield the share of the width that each column gets."""
    whole = sum(_WIDTHS[key] for key in keys)
    for key in keys:
        yield _WIDTHS[key] / whole


def _column(share: float) -> str:
    """Return the type of a column that breaks its lines, with the space between columns taken off."""
    return rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share:.4f}\linewidth-2\tabcolsep\relax}}"


def _code(row: Row, key: str) -> str:
    return f"`{row[key]}`" if key == "name" else row[key]


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
