"""Maps of anybody's method: a folder of files named by the images they explain.

A file ``gsp/test/0007.npy``, ``gsp_test_0007.npy`` or ``gsp-test-0007.npy`` is the map of ``gsp/test/0007``; ``.tif``, ``.tiff``
and ``.png`` are read, too, see :mod:`miso_gen.store.map_reading`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from miso_gen.errors import InputError, StoreError, listing, suggestion
from miso_gen.store.digests import array_digest
from miso_gen.store.map_array import Extent
from miso_gen.store.map_group import MapGroup, StoredMap
from miso_gen.store.map_reading import MAP_SUFFIXES, Fault, read_map_file
from miso_gen.store.map_tree import METADATA
from miso_gen.store.maps import MAPS, MapStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from miso_gen.store.map_group import MapPlace

_SUGGESTED: Final = 20  #: files for which the nearest id is looked up; each looks at all of them


@dataclass(frozen=True)
class MapProblem:
    """What is wrong with a folder of maps.

    Attributes:
        subject: Id of the image, or the file relative to the folder.
        what: What is wrong with it, the rest of a sentence: ``has no map``.
        advice: What to do, a sentence.
    """

    subject: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.subject} {self.what}. {self.advice}"


def lies_at(shape: tuple[int, ...], image: tuple[int, int], cell_px: int | None) -> MapPlace | None:
    """Return where the values of a map lie, by its size.

    Args:
        shape: Shape of the map.
        image: (H, W) of the image, px.
        cell_px: Side of a cell, half that of a patch; None: there are no patches.

    Returns:
        ``pixel`` for (H, W), ``grid`` for (floor(H / cell_px), floor(W / cell_px)), None for any other.
    """
    if shape == tuple(image):
        return "pixel"
    return "grid" if cell_px is not None and shape == (image[0] // cell_px, image[1] // cell_px) else None


class MapFolder:
    """A folder of maps. Opening it lists its files; they are read one at a time.

    Args:
        path: The folder. Hidden files and files of other kinds are not looked at.
        group: What the maps are; None: pixel maps of an unknown model, by an explainer that is called like the folder.

    Raises:
        StoreError: There is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str], group: MapGroup | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        if not self.path.is_dir():
            got = "a file" if self.path.exists() else "nothing there"
            raise StoreError(f"{self.path} must be a folder of maps, got {got}. Give the folder that the maps are in.")
        self.group = group or MapGroup("", _name_of(self.path), {}, "pixel", "pixel")

    def __repr__(self) -> str:
        return f"MapFolder({str(self.path)!r})"

    def ids(self, known_ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of the known images that have exactly one file, sorted."""
        return tuple(sorted(image for image in set(known_ids) if len(self._maps_of(image)) == 1))

    def read(self, image_id: str) -> StoredMap:
        """Return the map of an image, (H, W) float32; nan and infinity are there as they are in the file.

        Raises:
            InputError: The image has no file or several, or the file is no map; :meth:`check` says all of that at once.
        """
        found = self._maps_of(image_id)
        if len(found) != 1:
            got = listing(found) if found else "none"
            raise InputError(f"maps of {image_id} in {self.path} must be one file, got {got}. Save one: {image_id}.npy")
        values = read_map_file(self.path / found[0])
        if isinstance(values, Fault):
            raise InputError(f"{self.path / found[0]} must be a map, got one that {values.what}. {values.advice}")
        extent = Extent()
        if values.size:
            extent.add(values)
        return StoredMap(image_id, values, None, extent.blank, extent.constant, array_digest(values), {}, self.group)

    def check(self, known: Mapping[str, tuple[int, int]], cell_px: int | None = None) -> list[MapProblem]:
        """Return everything that is wrong, nothing if all is well: first of images, sorted, then of files, sorted.

        Looked for: images without a map or with several, files that no image is called like, files that can't be read or hold
        something else, maps of another size than the image or its grid of cells, and values that are not finite. nan is allowed
        in maps on the grid: no value.

        Args:
            known: (H, W) of each image that must have a map, px.
            cell_px: Side of a cell, half that of a patch; None: only maps of pixels are right.
        """
        problems: list[MapProblem] = []
        named: dict[str, list[str]] = {}  # file -> the images it could be of
        for image in sorted(known):
            for file in self._files_of(image):
                named.setdefault(file, []).append(image)
        for image in sorted(known):
            problems += self._of_image(image, known[image], cell_px)
        unknown = 0
        for file in sorted(file for files in self._files.values() for file in files if _is_map(file)):
            images = named.get(file, [])
            if len(images) > 1:
                problems.append(MapProblem(file, f"names {len(images)} images, {listing(images)}", "Name it by folders."))
            elif not images:
                near = suggestion(_key(file), known) if unknown < _SUGGESTED else ""
                problems.append(MapProblem(file, "is called like no image", f"Name it by the id of its image.{near}"))
                unknown += 1
        return problems

    def _of_image(self, image: str, size: tuple[int, int], cell_px: int | None) -> list[MapProblem]:
        maps = self._maps_of(image)
        if len(maps) > 1:
            return [MapProblem(image, f"has {len(maps)} maps, {listing(maps)}", "Keep one of them.")]
        if not maps:
            others = self._files_of(image)
            if others:
                return [MapProblem(others[0], "is of a kind that is not read", f"Save one of {listing(MAP_SUFFIXES)}.")]
            return [MapProblem(image, "has no map", f"Save it as {image}.npy.")]
        values = read_map_file(self.path / maps[0])
        fault = values if isinstance(values, Fault) else _fault_of(values, size, cell_px)
        return [MapProblem(maps[0], fault.what, fault.advice)] if fault else []

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """Files relative to the folder, sorted, by what they are called without their endings."""
        found: dict[str, list[str]] = {}
        for folder, inner, names in os.walk(self.path):
            inner[:] = sorted(name for name in inner if not name.startswith((".", "__")))
            for name in sorted(names):
                if not name.startswith("."):
                    file = (Path(folder) / name).relative_to(self.path).as_posix()
                    found.setdefault(_key(file), []).append(file)
        return found

    def _files_of(self, image_id: str) -> list[str]:
        keys = dict.fromkeys((image_id, image_id.replace("/", "_"), image_id.replace("/", "-")))
        return [file for key in keys for file in self._files.get(key, ())]

    def files(self, image_id: str) -> list[str]:
        """Return the files that are called like an image, relative to the folder; what is wrong with one bears its name."""
        return list(self._files_of(image_id))

    def _maps_of(self, image_id: str) -> list[str]:
        return [file for file in self._files_of(image_id) if _is_map(file)]


def open_maps(path: str | os.PathLike[str]) -> MapStore | MapFolder:
    """Return the maps in a folder: a store, a folder with a store ``maps.zarr`` in it, or a folder of files.

    Raises:
        StoreError: There is no folder, or a store of something else or of a newer layout.
    """
    place = Path(path).expanduser()
    for folder in (place, place / MAPS):
        if (folder / METADATA).is_file():
            return MapStore.open(folder)
    return MapFolder(place)


def _fault_of(values: NDArray[np.float32], size: tuple[int, int], cell_px: int | None) -> Fault | None:
    """Return what is wrong with the values of a map of an image; None: nothing."""
    at = lies_at(values.shape, size, cell_px)
    height, width = size
    if at is None:
        sizes = f"{height} x {width}"
        if cell_px is not None:
            sizes += f", or {height // cell_px} x {width // cell_px} cells of {cell_px} px"
        advice = f"Save {sizes}." if values.shape != (width, height) else f"Save {sizes}. Its axes are swapped."
        return Fault(f"has size {values.shape[0]} x {values.shape[1]}", advice)
    bad = int((np.isinf(values) if at == "grid" else ~np.isfinite(values)).sum())
    return Fault(f"has {bad} values that are not finite", "Save finite numbers.") if bad else None


def _key(file: str) -> str:
    """Return a file without its ending, ``.ome.tif`` being one."""
    stem = file.rpartition(".")[0] if "." in file.rpartition("/")[2] else file
    return stem.removesuffix(".ome")


def _is_map(file: str) -> bool:
    return file.lower().endswith(MAP_SUFFIXES)


def _name_of(folder: Path) -> str:
    """Return what maps in a folder are called: like it, as far as a name can be."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in folder.name).strip("-_")
    return name or "maps"
