"""A store of maps: what explainers say of the images of a data set, one array for each image.

A Zarr v3 group, any reader of Zarr opens it::

    maps.zarr/
      zarr.json                        miso: layout, data set, versions
      evp-vgg-att-0/                   model
        saliency/                      explainer; miso: what its maps are (MapGroup)
          evp/test/0007                (H, W) or (maps, H, W) float32; miso: image_id, target, blank, constant, digest, facts

An array appears by one rename, so that a half-written map is never there. Several processes may write to one store.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from miso_gen.errors import CorruptStoreError, InputError, OutputError, StoreError, UnknownNameError
from miso_gen.store import metadata
from miso_gen.store.arrays import StoredArray, parse_array, read_json
from miso_gen.store.digests import array_digest
from miso_gen.store.local import LocalTarget
from miso_gen.store.map_array import MapWriter, as_map
from miso_gen.store.map_group import MapGroup, StoredMap, check_image_id, check_name, plain
from miso_gen.store.target import attempt_id, write_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import ArrayLike

MAPS: Final = "maps.zarr"  #: name of the folder beside a run
MAPS_LAYOUT: Final = 1  #: version of the layout; a reader refuses a newer one
_METADATA: Final = "zarr.json"
_UNFINISHED: Final = ".tmp-"
_STALE_S: Final = 86400.0  #: after which what nobody finished is removed
_DATASET: Final = ("name", "version", "root_digest")
_VERSIONS: Final = ("miso-gen", "numpy", "numcodecs")
_RENAMES: Final = 20  #: tries against others that write the same map


class MapStore:
    """The maps of a data set's images, by model, explainer and image; made by :meth:`create` or :meth:`open`.

    Pickles, and is safe after fork and spawn: nothing is kept in memory but its path.

    Args:
        path: Its folder.

    Raises:
        StoreError: There is no store of maps, or one of a newer layout.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        root = self._document("") or {}
        if "maps_layout" not in root:
            got = "something else" if self.path.exists() else "nothing there"
            raise StoreError(f"{self.path} must be a store of maps, got {got}. Make maps first, or give another folder.")
        if root["maps_layout"] > MAPS_LAYOUT:
            raise StoreError(f"{self.path} must have layout {MAPS_LAYOUT}, got {root['maps_layout']}. Install a newer miso-gen.")
        self.dataset: dict[str, Any] = root["dataset"]
        self.facts: dict[str, Any] = root["facts"]

    def __repr__(self) -> str:
        return f"MapStore({str(self.path)!r}, {self.dataset['name']} {self.dataset['version']})"

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, dataset: Mapping[str, Any], facts: Mapping[str, Any] | None = None
    ) -> MapStore:
        """Return a new store, or the one that is there if it is of the same data set.

        What an attempt of more than a day ago left unfinished is removed.

        Args:
            path: Its folder.
            dataset: ``name``, ``version`` and ``root_digest`` of the data set; other keys are kept, too.
            facts: Anything else about all maps, as JSON; of a store that is there, its own stay.

        Raises:
            InputError: One of the three is missing, or a value is no JSON.
            OutputError: The folder holds something else, or maps of another data set, or can't be written.
        """
        given, said = plain(dataset, "dataset"), plain(facts or {}, "facts")
        missing = [key for key in _DATASET if key not in given]
        if missing:
            raise InputError(f"dataset must have name, version and root_digest, got no {missing[0]}. Give the data set's own.")
        place = Path(path).expanduser().absolute()
        versions = {name: version(name) for name in _VERSIONS}
        root = {"maps_layout": MAPS_LAYOUT, "dataset": given, "generator": versions, "facts": said}
        if not (place / _METADATA).is_file():
            if place.is_file() or (place.is_dir() and any(place.iterdir())):
                raise OutputError(f"{place} must be a store of maps or nothing, got something else. Choose another place.")
            _appear(place, root, place.parent)
        try:
            store = cls(place)
        except StoreError as error:
            raise OutputError(str(error)) from error
        for key in _DATASET:
            if store.dataset.get(key) != given[key]:
                raise OutputError(
                    f"{place} must hold maps of {given['name']} {given['version']}, got another {key}, "
                    f"{store.dataset.get(key)!r} instead of {given[key]!r}. Choose another place."
                )
        store._sweep()
        return store

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> MapStore:
        """Return the store in a folder.

        Raises:
            StoreError: There is none, or one of a newer layout.
            CorruptStoreError: Its ``zarr.json`` was cut off or edited.
        """
        return cls(path)

    def models(self) -> tuple[str, ...]:
        """Return the names of models that have maps or a group for them, sorted."""
        return tuple(name for name in self._groups("") if self._groups(name))

    def explainers(self, model: str) -> tuple[str, ...]:
        """Return the names of the explainers of a model, sorted; none of a model that is not there."""
        return self._groups(model)

    def group(self, model: str, explainer: str) -> MapGroup:
        """Return what the maps of a model and an explainer have in common.

        Raises:
            UnknownNameError: The store has no such model, or the model no such explainer.
            CorruptStoreError: Its ``zarr.json`` was cut off or edited.
        """
        found = self._group(model, explainer)
        if found is None:
            if model not in self.models():
                raise UnknownNameError("model of maps", model, self.models())
            raise UnknownNameError(f"explainer of {model}", explainer, self.explainers(model))
        return found

    def add_group(self, group: MapGroup) -> None:
        """Add a group, after which its maps can be written; nothing happens where an equal one is there.

        Raises:
            InputError: Its model has no name.
            OutputError: Another one is there under its names.
        """
        check_name("model", group.model)
        if self._group(group.model, group.explainer) is None:
            self._make(group.model, {})
            self._make(f"{group.model}/{group.explainer}", group.to_json())
        there = self.group(group.model, group.explainer)
        if there != group:
            mine, theirs = group.to_json(), there.to_json()
            key = next(key for key in mine if mine[key] != theirs[key])
            raise OutputError(
                f"maps {group.explainer!r} of {group.model} in {self.path} must be the same ones, got another {key}: "
                f"{theirs[key]!r} is there, {mine[key]!r} was given. Remove them, or take another name."
            )

    def ids(self, model: str, explainer: str) -> tuple[str, ...]:
        """Return the images that have a map, sorted; none of a group that is not there."""
        return tuple(sorted(_arrays(f"{self.path}/{model}/{explainer}", "")))

    def has(self, model: str, explainer: str, image_id: str) -> bool:
        """Whether there is a map of an image."""
        return _is_array(f"{self.path}/{model}/{explainer}/{image_id}")

    def write(
        self,
        model: str,
        explainer: str,
        image_id: str,
        values: ArrayLike,
        *,
        target: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the map of an image, wholly or not at all; one that is there is replaced.

        Args:
            model: Name of the model.
            explainer: Name of the explainer; their group was added.
            image_id: The image.
            values: (H, W), or (maps, H, W); a leading axis of 1 is left out. Real numbers, finite as float32; nan is allowed in
                groups that lie on a grid.
            target: The class that was explained; None: none, or one map for each.
            facts: Anything else about this map, as JSON.

        Raises:
            UnknownNameError: The group was not added.
            InputError: A value can't be one of a map, the shape is none, or the id is none or lies inside another image's.
        """
        array = as_map(values)
        if array.ndim < 2:
            raise InputError(f"map must have shape (H, W) or (maps, H, W), got {array.shape}. Give one value for each place.")
        self.write_tiles(model, explainer, image_id, array.shape, [(0, 0, array)], target=target, facts=facts)

    def write_tiles(
        self,
        model: str,
        explainer: str,
        image_id: str,
        shape: tuple[int, ...],
        tiles: Iterable[tuple[int, int, ArrayLike]],
        *,
        target: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the map of an image tile by tile, in bounded memory; see :meth:`write`.

        Maps up to 4096 px a side are collected whole. Of larger ones memory holds the tile and the chunks of 1024 px that tiles
        have begun and not yet filled: none, where tiles begin at multiples of 1024.

        Args:
            model: Name of the model.
            explainer: Name of the explainer.
            image_id: The image.
            shape: (H, W), or (maps, H, W) with two maps or more.
            tiles: (top, left, values) of each tile, values (h, w) or (maps, h, w); together they cover the map once.
            target: The class that was explained.
            facts: Anything else about this map.

        Raises:
            UnknownNameError: The group was not added.
            InputError: As of :meth:`write`; or tiles overlap, leave the map, or don't cover it.
        """
        group = self.group(model, explainer)
        check_image_id(image_id)
        said = {"image_id": image_id, "target": None if target is None else int(target), "facts": plain(facts or {}, "facts")}
        with self._unfinished() as folder:
            writer = MapWriter(folder, tuple(int(size) for size in shape), group.at)
            for top, left, values in tiles:
                writer.add(top, left, as_map(values))
            writer.finish(said)
            self._place(folder, f"{model}/{explainer}", image_id)

    def read(self, model: str, explainer: str, image_id: str, *, verify: bool = False) -> StoredMap:
        """Return the map of an image.

        Args:
            model: Name of the model.
            explainer: Name of the explainer.
            image_id: The image.
            verify: Compare the values with their digest; checksums of chunks are always compared.

        Raises:
            UnknownNameError: There is no such model, explainer or map.
            CorruptStoreError: A file is missing, cut off or edited.
        """
        group = self.group(model, explainer)
        array, said = self._array(model, explainer, image_id)
        values = array.all()
        if verify and array_digest(values) != said["digest"]:
            name = f"map of {image_id} in {self.path}/{model}/{explainer}"
            raise CorruptStoreError(f"{name} must match its digest, got other values. Make the map again.")
        return StoredMap(
            image_id, values, said["target"], said["blank"], said["constant"], said["digest"], said["facts"], group
        )

    def open_values(self, model: str, explainer: str, image_id: str) -> StoredArray:
        """Return the values of a map as an array that reads what is asked for: ``array[1000:2000, :500]``.

        Raises:
            UnknownNameError: There is no such model, explainer or map.
            CorruptStoreError: Its ``zarr.json`` was cut off or edited.
        """
        self.group(model, explainer)
        return self._array(model, explainer, image_id)[0]

    def remove(self, model: str, explainer: str) -> None:
        """Remove a group and its maps.

        Raises:
            UnknownNameError: There is no such model or explainer.
        """
        self.group(model, explainer)
        with self._unfinished() as folder, write_errors(str(self.path)):
            (self.path / model / explainer).rename(folder)  # gone at once, whatever happens while its files are deleted

    def _array(self, model: str, explainer: str, image_id: str) -> tuple[StoredArray, dict[str, Any]]:
        path = f"{model}/{explainer}/{image_id}"
        if not self.has(model, explainer, image_id):
            raise UnknownNameError(f"image with a map in {model}/{explainer}", image_id, self.ids(model, explainer))
        target = LocalTarget(self.path)
        name = f"{path}/{_METADATA}"
        document = read_json(target, name)
        layout = parse_array(document, target.describe(name))
        said = document.get("attributes", {}).get("miso", {})
        if not {"image_id", "target", "blank", "constant", "digest", "facts"} <= set(said):
            raise CorruptStoreError(f"{target.describe(name)} must say what map it is, got no such words. Make the map again.")
        return StoredArray(target, path, layout), said

    def _document(self, path: str) -> dict[str, Any] | None:
        """Return ``attributes.miso`` of a group; None: there is no group."""
        try:
            document = read_json(LocalTarget(self.path), f"{path}/{_METADATA}" if path else _METADATA)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = document.get("attributes", {}).get("miso", {}) if document.get("node_type") == "group" else None
        return found if isinstance(found, dict) else None

    def _group(self, model: str, explainer: str) -> MapGroup | None:
        check_name("model", model)
        check_name("explainer", explainer)
        found = self._document(f"{model}/{explainer}")
        return None if found is None else MapGroup.of_json(found, f"{self.path}/{model}/{explainer}/{_METADATA}")

    def _groups(self, path: str) -> tuple[str, ...]:
        folder = self.path / path
        if not folder.is_dir():
            return ()
        inner = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        return tuple(entry.name for entry in inner if (entry / _METADATA).is_file())

    def _make(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Make a group, unless one is there."""
        if not (self.path / path / _METADATA).is_file():
            _appear(self.path / path, attributes, self.path)

    def _place(self, folder: str, group: str, image_id: str) -> None:
        """Move a finished array to its place."""
        path = group
        for part in image_id.split("/")[:-1]:
            path = f"{path}/{part}"
            if _is_array(f"{self.path}/{path}"):
                other = path.removeprefix(f"{group}/")
                raise InputError(f"image id must not lie inside another with a map, got {image_id!r} in {other!r}. Rename it.")
            self._make(path, {})
        final = f"{self.path}/{group}/{image_id}"
        target = LocalTarget(self.path)
        for _ in range(_RENAMES):
            try:
                target.rename(os.path.relpath(folder, self.path), f"{group}/{image_id}")
            except FileExistsError:
                if not _is_array(final) and Path(final).exists():
                    raise InputError(
                        f"image id must not hold other images, got {image_id!r}, in which maps of some lie. Rename it."
                    ) from None
                self._put_away(final)
            else:
                return
        raise OutputError(f"{final} must be written by one process at a time, got several. Give each its own images.")

    def _put_away(self, final: str) -> None:
        with self._unfinished() as old, write_errors(final):
            try:
                Path(final).rename(old)
            except FileNotFoundError:  # somebody else was faster
                return

    @contextmanager
    def _unfinished(self) -> Iterator[str]:
        """Yield a place for a folder that is renamed later; what is still there afterwards is removed."""
        folder = f"{self.path}/{_UNFINISHED}{attempt_id()}"
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        for entry in self.path.iterdir():
            if entry.name.startswith(_UNFINISHED):
                try:
                    stale = time.time() - entry.stat().st_mtime > _STALE_S
                except FileNotFoundError:  # finished just now
                    continue
                if stale:
                    shutil.rmtree(entry, ignore_errors=True)


def _appear(folder: Path, attributes: Mapping[str, Any], beside: Path) -> None:
    """Make a group with its ``zarr.json`` in one step, unless somebody else has; what is made lies in ``beside`` until then."""
    part = beside / f"{_UNFINISHED}{attempt_id()}"
    target = LocalTarget(part)
    try:
        target.write(_METADATA, metadata.group({"miso": dict(attributes)} if attributes else {}), atomic=False)
        LocalTarget("/").rename(str(part), str(folder))
    except FileExistsError:
        pass
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_array(folder: str) -> bool:
    """Whether a folder is an array: beside its ``zarr.json`` it has chunks, and not a group that is called like theirs."""
    return (
        os.path.isfile(f"{folder}/{_METADATA}")  # noqa: PTH113  # several times as fast, for each of thousands of maps
        and os.path.isdir(f"{folder}/c")  # noqa: PTH112
        and not os.path.exists(f"{folder}/c/{_METADATA}")  # noqa: PTH110
    )


def _arrays(folder: str, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        inner = f"{folder}/{name}"
        if _is_array(inner):
            yield prefix + name
        else:
            yield from _arrays(inner, f"{prefix}{name}/")


def has_maps(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a store of maps."""
    try:
        MapStore(path)
    except StoreError:
        return False
    return True
