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

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from miso_gen.errors import CorruptStoreError, InputError, OutputError, StoreError, UnknownNameError
from miso_gen.store.arrays import StoredArray, parse_array, read_json
from miso_gen.store.digests import array_digest
from miso_gen.store.local import LocalTarget
from miso_gen.store.map_array import MapWriter, as_map
from miso_gen.store.map_group import MapGroup, StoredMap, check_image_id, check_name, plain
from miso_gen.store.map_tree import METADATA, arrays_in, groups_in, is_array, make_group, place_array, put_away, sweep, unfinished
from miso_gen.store.target import write_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike

MAPS: Final = "maps.zarr"  #: name of the folder beside a run
MAPS_LAYOUT: Final = 1  #: version of the layout; a reader refuses a newer one
_DATASET: Final = ("name", "version", "root_digest")
_VERSIONS: Final = ("miso-gen", "numpy", "numcodecs")


class MapStore:
    """The maps of a data set's images, by model, explainer and image; made by :meth:`create` or :meth:`open`.

    Pickles, and is safe after fork and spawn: nothing is kept in memory but its path.

    Args:
        path: Its folder.

    Raises:
        StoreError: There is no store of maps, or one of a newer layout.
        CorruptStoreError: Its ``zarr.json`` was cut off or edited.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        root = self._document("") or {}
        if "maps_layout" not in root:
            got = "something else" if self.path.exists() else "nothing there"
            raise StoreError(f"{self.path} must be a store of maps, got {got}. Make maps first, or give another folder.")
        if root["maps_layout"] > MAPS_LAYOUT:
            raise StoreError(f"{self.path} must have layout {MAPS_LAYOUT}, got {root['maps_layout']}. Install a newer miso-gen.")
        for key in ("dataset", "facts"):
            if not isinstance(root.get(key), dict):
                raise CorruptStoreError(f"{self.path} must say its data set and facts, got no {key}. Make the maps again.")
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
        if not (place / METADATA).is_file():
            if place.is_file() or (place.is_dir() and any(place.iterdir())):
                raise OutputError(f"{place} must be a store of maps or nothing, got something else. Choose another place.")
            with write_errors(str(place)):
                place.parent.mkdir(parents=True, exist_ok=True)
            make_group(place.parent, place.name, root)
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
        sweep(place)
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
        return tuple(name for name in groups_in(self.path) if groups_in(self.path / name))

    def explainers(self, model: str) -> tuple[str, ...]:
        """Return the names of the explainers of a model, sorted; none of a model that is not there."""
        check_name("model", model)
        return groups_in(self.path / model)

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
            make_group(self.path, group.model, {})
            make_group(self.path, f"{group.model}/{group.explainer}", group.to_json())
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
        return tuple(sorted(arrays_in(f"{self.path}/{_path(model, explainer)}")))

    def has(self, model: str, explainer: str, image_id: str) -> bool:
        """Whether there is a map of an image."""
        check_image_id(image_id)
        return is_array(f"{self.path}/{_path(model, explainer)}/{image_id}")

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
        size = tuple(int(count) for count in shape)
        with unfinished(self.path) as folder:
            writer = MapWriter(str(folder), size[1:] if len(size) == 3 and size[0] == 1 else size, group.at)
            for top, left, values in tiles:
                writer.add(top, left, as_map(values))
            writer.finish(said)
            place_array(self.path, folder, _path(model, explainer), image_id)

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
        return StoredMap(image_id, values, said["target"], said["blank"], said["constant"], said["digest"], said["facts"], group)

    def about(self, model: str, explainer: str, image_id: str) -> dict[str, Any]:
        """Return what is said of a map without its values: image_id, target, blank, constant, digest, facts.

        Raises:
            UnknownNameError: There is no such model, explainer or map.
            CorruptStoreError: Its ``zarr.json`` was cut off or edited.
        """
        return self._array(model, explainer, image_id)[1]

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
        put_away(self.path, self.path / model / explainer)

    def _array(self, model: str, explainer: str, image_id: str) -> tuple[StoredArray, dict[str, Any]]:
        path = f"{model}/{explainer}/{image_id}"
        if not self.has(model, explainer, image_id):
            raise UnknownNameError(f"image with a map in {model}/{explainer}", image_id, self.ids(model, explainer))
        target = LocalTarget(self.path)
        name = f"{path}/{METADATA}"
        document = read_json(target, name)
        layout = parse_array(document, target.describe(name))
        said = document.get("attributes", {}).get("miso", {})
        if not {"image_id", "target", "blank", "constant", "digest", "facts"} <= set(said):
            raise CorruptStoreError(f"{target.describe(name)} must say what map it is, got no such words. Make the map again.")
        return StoredArray(target, path, layout), said

    def _document(self, path: str) -> dict[str, Any] | None:
        """Return ``attributes.miso`` of a group; None: there is no group."""
        try:
            document = read_json(LocalTarget(self.path), f"{path}/{METADATA}" if path else METADATA)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = document.get("attributes", {}).get("miso", {}) if document.get("node_type") == "group" else None
        return found if isinstance(found, dict) else None

    def _group(self, model: str, explainer: str) -> MapGroup | None:
        path = _path(model, explainer)
        found = self._document(path)
        return None if found is None else MapGroup.of_json(found, f"{self.path}/{path}/{METADATA}")


def _path(model: str, explainer: str) -> str:
    check_name("model", model)
    check_name("explainer", explainer)
    return f"{model}/{explainer}"
