"""Numbers of a table of a paper: those that were published, and those that were measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import nan
from typing import TYPE_CHECKING, Any, Final

import yaml

from miso_gen.errors import InputError
from miso_gen.metrics.statistics.intervals import t_interval
from miso_gen.metrics.summaries import summarise
from miso_gen.report.judged import Place, place_for, rows_at
from miso_gen.report.tables import Cell, Row, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

MEASURED: Final = "measured"  #: text of the column ``source``
PUBLISHED: Final = "published"
_NUMBER: Final = re.compile(r"(?P<value>[0-9.e-]+)(?:\((?P<half>[0-9.]+)\))?(?P<mark>[A-Z]?)")


@cache
def _paper(name: str) -> Mapping[str, Any]:
    """Return the published numbers of a paper, as text: no digit is lost."""
    text = (files("miso_gen.report.paper_tables") / f"{name}.yaml").read_text("utf-8")
    return yaml.load(text, Loader=yaml.BaseLoader)


def published(paper: str, table: str, *row: str) -> dict[str, Cell]:
    """Return the published numbers of a row by column; none for a row that the paper has not.

    Args:
        paper: ``miso``, ``you`` or ``pylon``.
        table: Key of the table in the file of the paper.
        row: Keys of the row, such as network and scenario.
    """
    found = _paper(paper)[table]
    here: Any = found["rows"]
    for key in row:
        here = here.get(key) if isinstance(here, dict) else None
    if not isinstance(here, list):
        return {}
    return {name: published_cell(text) for name, text in zip(found["columns"], here, strict=True)}


def published_rows(paper: str, table: str) -> Mapping[str, Any]:
    """Return the rows of a table of a paper by key, as they stand in its file."""
    return _paper(paper)[table]["rows"]


def published_cell(text: str) -> Cell:
    """Return a published number: ``0.926``, or ``0.926(0.016)`` with half of its interval, and a mark such as ``A`` behind it.

    Raises:
        InputError: It is no such text.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise InputError(f"number must be like 0.926(0.016)A, got {text!r}. Write it so.")
    value, half, mark = float(found["value"]), found["half"], found["mark"]
    ends = (value - float(half), value + float(half)) if half else (nan, nan)
    shown = f"{found['value']} ± {half}" if half else found["value"]
    return Cell(value, *ends, text=f"{shown} {mark}".strip(), mark=mark)


@dataclass
class Used:
    """What the measured numbers of a table are of, for its notes.

    Attributes:
        metrics: Heading -> names of metrics.
        places: Words of places.
    """

    metrics: dict[str, set[str]] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)

    def add(self, heading: str, metric: str, place: Place) -> None:
        """Add a number."""
        self.metrics.setdefault(heading, set()).add(metric)
        self.places.add(place.words)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines."""
        told = "; ".join(f"{heading}: {' or '.join(sorted(names))}" for heading, names in self.metrics.items())
        where = "; ".join(sorted(self.places))
        return tuple(line for line in (f"Measured as {told}." if told else "", f"Scored on {where}." if where else "") if line)


def preferred(rows: pd.DataFrame, metric: str, at: str, positive: int) -> Place:
    """Return the place of a metric that is most like that of a paper: its place and level if they were scored, else what was."""
    for where in ({"at": at, "positive": positive}, {"at": at}, {"positive": positive}):
        try:
            return place_for(rows, metric, **where)
        except InputError:
            continue
    return place_for(rows, metric)


def measured(
    rows: pd.DataFrame, names: Sequence[str], *, at: str, positive: int, heading: str, used: Used, truth: bool | None = True
) -> Cell:
    """Return the mean over images of the first of some metrics that was scored, with the normal interval of MISO.

    Args:
        rows: Scores of one network, scenario and explainer, of :func:`~miso_gen.report.judged.judged`.
        names: Metrics, the first is the best.
        at: Place that the paper has.
        positive: Level that the paper has.
        heading: Of the column.
        used: Gets what was taken.
        truth: Whether of images with evidence, or (None) of all.
    """
    there = set(rows["metric"])
    for name in names:
        if name not in there:
            continue
        place = preferred(rows, name, at, positive)
        part = rows_at(rows, name, place, truth=truth)
        if part.empty:
            continue
        found = summarise(part, "metric", interval="normal").iloc[0]
        used.add(heading, name, place)
        return Cell(float(found["mean"]), float(found["low"]), float(found["high"]), int(found["n"]))
    return Cell()


def over_seeds(values: Iterable[float], n: int | None) -> Cell:
    """Return the mean over trainings, with the interval of Student's t where there are two or more."""
    found = t_interval(list(values))
    return Cell(found.mean, found.low, found.high, n)


def pair_of_rows(
    names: Sequence[str], cells: Sequence[Cell], printed: Mapping[str, Cell], columns: Sequence[str], of: str = ""
) -> list[Row]:
    """Return a row of measured numbers and, where there are any, one of published ones.

    Args:
        names: What the rows are of.
        cells: Measured.
        printed: Published, by column.
        columns: Keys of the columns in ``printed``.
        of: What published numbers are of, where it is not the same.
    """
    rows = [Row((*words(*names, MEASURED), *cells))]
    if any(name in printed for name in columns):
        told = f"{PUBLISHED}, {of}" if of else PUBLISHED
        rows.append(Row((*words(*names, told), *(printed.get(name, Cell()) for name in columns)), "published"))
    return rows


def is_filled(rows: Iterable[Row]) -> bool:
    """Whether some measured number is there."""
    return any(row.role != "published" and any(cell.value == cell.value for cell in row.cells) for row in rows)
