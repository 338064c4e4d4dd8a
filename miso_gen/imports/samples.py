"""A table of masks -> the samples of a tissue: what they are called, their classes, groups, splits and cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from warnings import warn

import numpy as np
from pydantic import Field

from miso_gen.contents import Content, keep
from miso_gen.errors import InputError, MisoGenWarning, RefusedFilesError, listing
from miso_gen.geometry import Box
from miso_gen.imports.labels import import_labels, labels_of, read_labels
from miso_gen.imports.tables import read_table, require_columns
from miso_gen.recipe.importing import FileSource
from miso_gen.recipe.parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Text = Annotated[str, Field(min_length=1)]


class SampleColumns(Parameters):
    """Names of the columns of the table of samples."""

    mask: Text = "mask"
    """Path of a mask, relative to the table."""
    class_name: Text = "class"
    """Class of the sample."""
    sample: str = ""
    """Name of the sample; masks of one name are stitched. Empty: each mask is a sample, called as its file."""
    group: str = ""
    """What must stay in one split, e.g. the patient. Empty: each sample is a group."""
    split: str = ""
    """The split of the sample. Empty: samples are dealt out."""
    evidence: str = ""
    """Path of a second mask, which marks the cells that make the class. Empty: there is none."""


class CellTable(Parameters):
    """A table of cells: what each is, and which make the class."""

    table: Text
    """Path of a CSV or Parquet file."""
    mask: str = "mask"
    """Column with the path of the mask, as in the table of samples."""
    id: str = "id"
    """Column with the cell's number in the mask."""
    kind: str = "type"
    """Column with what the cell is."""
    telling: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The kinds that make the class."""


class MaskFiles(FileSource):
    """Masks of cells, listed in a table."""

    table: Text
    """Path of a CSV or Parquet file with a row for each mask; relative to the recipe."""
    columns: SampleColumns = SampleColumns()
    """Names of its columns."""
    objects: Literal["auto", "ids", "pieces"] = "auto"
    """What a cell is: the pixels of an id, a piece of them, or (auto) an id where there are several ids, else a piece."""
    background: int | Literal["none"] = 0
    """The id of what is no cell; none: every pixel is of a cell."""
    cells: CellTable | None = None
    """A table of cells, where there is one."""

    def load(self, folder: Path) -> Mapping[str, Any]:
        """See :class:`FileSource`."""
        if self.cells is not None and self.columns.evidence:
            raise InputError("evidence must come from cells or from columns.evidence, got both. Leave one of them out.")
        path = folder / self.table
        table = read_table(path)
        wanted = [name for name in self.columns.to_spec().values() if name]
        require_columns(path, table, wanted)
        rows = _rows(path, table, self.columns)
        kinds = None if self.cells is None else _kinds(folder / self.cells.table, self.cells, {row.mask for row in rows})
        return {"samples": keep(self._content(path.parent, rows, kinds))}

    def _content(self, folder: Path, rows: list[_Row], kinds: _Kinds | None) -> Content:
        refused: list[tuple[str, str]] = []
        masks: list[dict[str, Any]] = []
        cells: list[NDArray[np.int64]] = []
        names = [] if kinds is None else sorted(set().union(*(set(of.values()) for of in kinds.values())))
        for row in rows:
            try:
                content = import_labels(folder / row.mask, background=self.background, objects=self.objects)
                codes, known = self._codes(folder, row, content, kinds, names)
            except RefusedFilesError as error:
                refused += error.refused
                continue
            except InputError as error:
                refused.append((row.mask, f"can't be used: {error}"))
                continue
            facts = {"height": content.facts["height"], "width": content.facts["width"], "telling_known": known}
            masks.append({"sample": row.sample, "labels": content.digest, **facts})
            cells.append(codes)
        if refused:
            raise RefusedFilesError(refused)
        samples = {row.sample: {"name": row.sample, "class": row.kind, "group": row.group, "split": row.split} for row in rows}
        telling = [] if self.cells is None else [name in self.cells.telling for name in names]
        return Content(
            "samples",
            {"samples": list(samples.values()), "masks": masks, "kinds": names, "telling_kinds": telling},
            {"cells": np.concatenate(cells).astype(np.int32), "starts": np.cumsum([0, *map(len, cells)]).astype(np.int64)},
            tuple(sorted({mask["labels"] for mask in masks})),
        )

    def _codes(
        self, folder: Path, row: _Row, content: Content, kinds: _Kinds | None, names: list[str]
    ) -> tuple[NDArray[np.int64], bool]:
        """Return a number for each cell, and whether it says which cells make the class.

        With a table of cells the place of its kind among ``names``, -1 where the table has none; else 1 for cells that the
        evidence marks, 0 for others.
        """
        original = content.arrays["original"]
        if kinds is not None:
            of = kinds.get(row.mask, {})
            strange = set(of) - set(original.tolist())
            if strange:
                raise InputError(
                    f"cells of the table must be in the mask, got {listing(map(str, sorted(strange)), 5)} that are not. "
                    "Write objects: ids where the ids of the mask are meant."
                )
            return np.array([names.index(of[number]) if number in of else -1 for number in original.tolist()], np.int64), True
        if not row.evidence:
            return np.zeros(len(original), np.int64), False
        return _marked(content, read_labels(folder / row.evidence), row), True


@dataclass(frozen=True)
class _Row:
    """A row of the table of samples."""

    mask: str
    kind: str
    sample: str
    group: str
    split: str
    evidence: str


_Kinds = dict[str, dict[int, str]]


def _rows(path: Path, table: pd.DataFrame, columns: SampleColumns) -> list[_Row]:
    """Return the rows of the table.

    Raises:
        InputError: A mask or a class is missing, a mask is named twice, or the masks of a sample disagree.
    """
    rows = []
    for number, row in enumerate(table.to_dict("records"), 2):
        values = {name: str(row[column]) if column else "" for name, column in columns.to_spec().items()}
        for name, column in columns.to_spec().items():
            if column and not values[name] and name != "evidence":
                raise InputError(f"{path.name}:{number}: {column} must be given, got nothing. Fill it in, or drop the row.")
        sample = values["sample"] or Path(values["mask"]).stem
        rows.append(_Row(values["mask"], values["class_name"], sample, values["group"], values["split"], values["evidence"]))
    _require_once(path, [row.mask for row in rows], "mask")
    if not columns.sample:
        _require_once(path, [row.sample for row in rows], "name of a mask's file")
    for name in {row.sample for row in rows}:
        facts = {(row.kind, row.group, row.split) for row in rows if row.sample == name}
        if len(facts) > 1:
            raise InputError(
                f"{path.name}: the masks of sample {name!r} must have one class, group and split, got {sorted(facts)}. "
                "Correct them."
            )
    return rows


def _require_once(path: Path, values: list[str], what: str) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise InputError(
            f"{path.name}: each {what} must be there once, got {listing(twice, 5)} again. Name samples with columns: "
            "{sample: ...}, or drop rows."
        )


def _kinds(path: Path, cells: CellTable, masks: set[str]) -> _Kinds:
    """Return what each cell is, by mask and number.

    Raises:
        InputError: A number is none, a cell is listed twice, a mask is unknown, or no cell is of a telling kind.
    """
    table = read_table(path)
    require_columns(path, table, (cells.mask, cells.id, cells.kind))
    found: _Kinds = {}
    for number, (mask, text, kind) in enumerate(zip(table[cells.mask], table[cells.id], table[cells.kind], strict=True), 2):
        if mask not in masks:
            raise InputError(f"{path.name}:{number}: mask must be one of the table of samples, got {mask!r}.")
        if not text.lstrip("-").isdecimal():
            raise InputError(f"{path.name}:{number}: {cells.id} must be a whole number, got {text!r}.")
        if int(text) in found.setdefault(mask, {}):
            raise InputError(f"{path.name}:{number}: each cell must be there once, got {text} of {mask} again.")
        found[mask][int(text)] = kind
    known = {kind for of in found.values() for kind in of.values()}
    strange = [name for name in cells.telling if name not in known]
    if strange:
        raise InputError(f"telling must name kinds of {path.name}, of {listing(sorted(known))}, got {listing(strange)}.")
    if masks - set(found):
        count = len(masks - set(found))
        warn(f"{path.name} lists no cell of {count} of {len(masks)} masks: none of these cells is evidence.", MisoGenWarning, 2)
    return found


def _marked(content: Content, evidence: NDArray[Any], row: _Row) -> NDArray[np.int64]:
    """Return 1 for each cell of which more than half of the pixels are marked, else 0."""
    runs = labels_of(content)
    if evidence.shape != (runs.height, runs.width):
        height, width = evidence.shape
        raise InputError(
            f"{row.evidence} must have the size of the mask, {runs.height} x {runs.width} px, got {height} x {width} px."
        )
    counts = np.zeros(len(runs.objects) + 1, np.int64)
    for box in Box(0, 0, runs.height, runs.width).tiles(512, runs.width):
        cells = runs.labels(box, np.dtype(np.uint32))
        if cells is not None:
            counts += np.bincount(cells[1][evidence[box.slices] != 0], minlength=len(counts))
    return (2 * counts[1:] > runs.areas).astype(np.int64)
