"""Tables of coordinates -> sets of points in whole numbers: 1/256 px of the picture that they were measured on."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from miso_gen.contents import Content, keep
from miso_gen.errors import InputError, MisoGenWarning, RefusedFilesError, listing, suggestion
from miso_gen.imports.giveaways import giveaways
from miso_gen.imports.point_tables import MOST_PX, PointColumns, PointSet, Text, read_points, warn_of_some
from miso_gen.recipe.importing import ContentDigest, FileSource
from miso_gen.recipe.parameters import Parameters, PositiveFloat

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNITS: Final = 256  #: per px
_SHOWN: Final = 5


class NamedPoints(Parameters):
    """A set of points that was imported."""

    name: Text
    """What it is called."""
    content: ContentDigest
    """Its points."""


class PointFiles(FileSource):
    """Tables of points, and how to read them."""

    path: str | tuple[str, ...]
    """A CSV or Parquet file, a pattern such as ``cells/*.csv``, or a list of these; relative to the recipe."""

    columns: PointColumns = PointColumns()
    """Names of the columns."""

    unit: Literal["px", "um", "mm"] = "px"
    """What positions, radii and ``extent`` count."""

    pixel_size_um: PositiveFloat | None = None
    """Side of a pixel of the picture that the points were measured on; needed for ``unit: um`` and ``mm``."""

    classes: tuple[Text, ...] = ()
    """Classes to keep; empty: all."""

    missing: Literal["refuse", "drop"] = "refuse"
    """What becomes of rows where a value is missing, no number, or infinite."""

    extent: tuple[float, float, float, float] | None = None
    """Top, left, bottom and right of the picture that the points were measured on; left out: the box around the points."""

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if (self.unit == "px") != (self.pixel_size_um is None):
            raise PydanticCustomError("expected", "written with pixel_size_um for unit: um or mm, and without it for px")
        if self.classes and not self.columns.class_name:
            raise PydanticCustomError("expected", "written with columns: {class_name: ...} where classes are named")
        if self.extent is not None:
            top, left, bottom, right = self._extent_px
            if not (top < bottom and left < right and np.abs(self._extent_px).max() <= MOST_PX):
                text = f"written with extent: [top, left, bottom, right], the lower numbers first, within {MOST_PX} px"
                raise PydanticCustomError("expected", "{text}", {"text": text})
        return self

    @property
    def _px_per_unit(self) -> float:
        return {"px": 1.0, "um": 1.0, "mm": 1000.0}[self.unit] / (self.pixel_size_um or 1.0)

    @property
    def _extent_px(self) -> NDArray[np.float64]:
        return np.array(self.extent, np.float64) * self._px_per_unit

    def load(self, folder: Path) -> Mapping[str, Any]:
        """See :class:`FileSource`."""
        sets: dict[str, PointSet] = {}
        refused: list[tuple[str, str]] = []
        for name, path in point_files(self.path, folder).items():
            try:
                found = read_points(path, name, self.columns, self._px_per_unit, self.missing)
                again = sorted(sets.keys() & {one.name for one in found})
                if again:
                    raise InputError(
                        f"must have samples of its own, got {listing(again, _SHOWN)} of another file. Name them anew."
                    )
                sets.update({one.name: self._within_extent(one) for one in found})
            except InputError as error:
                refused.append((path.name, str(error)))
        if refused:
            raise RefusedFilesError(refused)
        chosen = self._of_classes(list(sets.values()))
        columns = self.columns
        if columns.class_name:
            x, y = (columns.left, columns.top) if columns.left else (columns.x, columns.y)
            for sentence in giveaways(chosen, columns.class_name, x, y):
                warnings.warn(sentence, MisoGenWarning, stacklevel=2)
        contents = {one.name: self._content(one) for one in sorted(chosen, key=lambda one: one.name)}
        again_there = {one.name: len(one.places) - len(contents[one.name].arrays["places"]) for one in chosen}
        warn_of_some("points are there already, and count once", again_there)
        return {"sets": [{"name": name, "content": keep(content)} for name, content in contents.items()]}

    def _within_extent(self, one: PointSet) -> PointSet:
        """Return the points inside of the extent.

        Raises:
            InputError: There are none; the message goes on after the name of the file.
        """
        if self.extent is None:
            return one
        top, left, bottom, right = _in_units(self._extent_px)
        rows, columns = _in_units(one.places).T
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        if not inside.any():
            raise InputError(
                f"must have points inside of extent, got none of {len(inside)}. Write top, left, bottom, right, in the unit."
            )
        warn_of_some("points lie outside of extent, and are left out", {one.name: int((~inside).sum())})
        return one.only(inside)

    def _of_classes(self, sets: list[PointSet]) -> list[PointSet]:
        """Return the sets with the points of the classes that are asked for.

        Raises:
            InputError: No point is of one of the classes.
        """
        if not self.classes:
            return sets
        kept = [(one, np.isin(one.classes, self.classes)) for one in sets if one.classes is not None]
        known = sorted({name for one, _ in kept if one.classes is not None for name in one.classes.tolist()})
        for name in self.classes:
            if name not in known:
                raise InputError(
                    f"classes must be of column {self.columns.class_name!r}, some of {listing(known)}, got {name!r}."
                    f"{suggestion(name, known)}"
                )
        without = [one.name for one, mine in kept if not mine.any()]
        if without:
            text = f"{len(without)} sets have no points of {listing(self.classes)}, and are left out: {listing(without, _SHOWN)}."
            warnings.warn(text, MisoGenWarning, stacklevel=3)
        return [one.only(mine) for one, mine in kept if mine.any()]

    def _content(self, one: PointSet) -> Content:
        """Return a set in whole numbers, sorted by row and column, each point once."""
        names = [] if one.classes is None else np.unique(one.classes).tolist()
        columns = {"places": _in_units(one.places)}
        if one.radii is not None:
            columns["radii"] = np.maximum(_in_units(one.radii), 1)[:, None]
        if one.classes is not None:
            columns["classes"] = np.searchsorted(names, one.classes).astype(np.int64)[:, None]
        table = np.unique(np.concatenate(list(columns.values()), axis=1), axis=0)
        arrays: dict[str, NDArray[Any]] = {"places": table[:, :2]}
        for place, name in enumerate(list(columns)[1:], 2):
            arrays[name] = table[:, place]
        extent = None if self.extent is None else _in_units(self._extent_px).tolist()
        return Content("points", {"classes": names, "extent": extent}, arrays)


def point_files(path: str | tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Return files by the name of their set: the stem, or where two share it the path from their common folder.

    Raises:
        InputError: There are none, or one is a folder.
    """
    found: dict[Path, None] = {}
    for pattern in (path,) if isinstance(path, str) else path:
        exact = folder / pattern
        if exact.is_dir():
            raise InputError(f"path must name files, got the folder {pattern!r}. Write {pattern.rstrip('/')}/*.csv.")
        # Path.glob takes no absolute patterns.
        names = [pattern] if exact.is_file() else sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
        files = [folder / name for name in names if (folder / name).is_file()]
        if not files:
            raise InputError(f"path must name files, got none for {pattern!r}. It is relative to the recipe.")
        found.update(dict.fromkeys(files))
    if not found:
        raise InputError("path must name files, got an empty list. Name one.")
    stems = [file.stem for file in found]
    if len(set(stems)) == len(stems):
        return dict(zip(stems, found, strict=True))
    shared = _common([file.parent.parts for file in found])
    named = {file.relative_to(Path(*shared)).with_suffix("").as_posix(): file for file in found}
    if len(named) < len(found):
        shown = listing((file.name for file in found), _SHOWN)
        raise InputError(f"path must name files that differ in more than their suffix, got {shown}. Leave some out.")
    return named


def _common(paths: list[tuple[str, ...]]) -> list[str]:
    """Return the parts that all paths begin with."""
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def _in_units(px: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return lengths in px as 1/256 px, rounded, halves up."""
    return np.floor(px * UNITS + 0.5).astype(np.int64)
