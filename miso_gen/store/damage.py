"""Find every file of a store that is missing, damaged, misplaced or strange, by checksums: no pixel is decoded.

What lies beside ``images.zarr`` and ``imports`` is no part of a store and is not looked at: a release may be in its folder.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from miso_gen.contents import FOLDER, content_path
from miso_gen.errors import CorruptStoreError, MisoGenError, StoreError
from miso_gen.store import metadata
from miso_gen.store.checksums import checksum
from miso_gen.store.imports import RECIPE
from miso_gen.store.index import INDEX
from miso_gen.store.read import Dataset
from miso_gen.store.record import read_record
from miso_gen.store.root import IMAGES, StoreRoot, image_path, list_images, read_root
from miso_gen.store.validate import Problem, index_equals_attributes, root_digest_equals_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from miso_gen.store.target import Target

_GONE: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
#: Whatever reading damaged bytes may raise, and using what was read.
BROKEN: Final = (MisoGenError, OSError, ValueError, EOFError, zlib.error, LookupError, TypeError, AttributeError)


def store_damage(target: Target, seen: Callable[[str], None] | None = None) -> Iterator[Problem]:
    """Yield what is wrong with the files of a complete store; nothing: every byte is as its build left it.

    Args:
        target: The store.
        seen: Called with the id of every image that was looked at.
    """
    root = None
    try:
        root = read_root(target)
    except BROKEN as error:
        yield Problem(f"{IMAGES}/zarr.json", "damaged", str(error))
    if root is not None:
        yield from _root_damage(target, root)
    checksums = _checksums(target, root)
    there = _images(target)
    ids = sorted(checksums) if checksums else sorted(there)
    for group in sorted({"/".join(image_id.split("/")[:depth]) for image_id in ids for depth in (1, 2)}):
        yield from _group_damage(target, f"{IMAGES}/{group}/zarr.json")
    for image_id in ids:
        yield from image_damage(target, image_id, checksums.get(image_id))
        if seen is not None:
            seen(image_id)
    yield from (Problem(image_id, "unexpected", "is not in the index") for image_id in sorted(there - set(ids)))
    if root is None or root.complete:  # between the images of an unfinished build there is more
        yield from _strange_names(target, ids, None if root is None else root.imports)


def contradictions(dataset: Dataset) -> Iterator[Problem]:
    """Yield where root, recipe, index and images of a complete store say different things; no pixel is decoded."""
    where = f"{IMAGES}/zarr.json"
    yield from (Problem(where, "root_digest_equals_index", message) for message in root_digest_equals_index(dataset))
    yield from _other_recipe(dataset)
    for row in dataset.table.to_dict("records"):
        image_id = str(row["image_id"])
        try:
            messages = list(index_equals_attributes(dataset[image_id], {str(name): value for name, value in row.items()}))
        except BROKEN as error:
            yield Problem(image_id, "damaged", f"can't be read: {error}")
        else:
            yield from (Problem(image_id, "index_equals_attributes", message) for message in messages)


def _other_recipe(dataset: Dataset) -> Iterator[Problem]:
    import yaml

    try:
        recipe = yaml.safe_load(dataset.target.read(RECIPE))
    except FileNotFoundError:
        return  # stores of older versions have none
    except (yaml.YAMLError, *BROKEN) as error:
        yield Problem(RECIPE, "damaged", f"can't be read: {error}")
        return
    if recipe != dataset.recipe:
        yield Problem(RECIPE, "contradiction", "is another recipe than the root has")


def image_damage(target: Target, image_id: str, expected: str | None) -> Iterator[Problem]:
    """Yield what is wrong with the files of an image.

    Args:
        target: Where it is.
        image_id: Which.
        expected: Checksum of its ``zarr.json``; None: not known, so that it vouches for itself.
    """
    path = image_path(image_id)
    try:
        record = read_record(target, path)
    except _GONE:
        yield Problem(image_id, "missing", "zarr.json is not there")
        return
    except BROKEN as error:
        yield Problem(image_id, "damaged", f"zarr.json can't be read: {error}")
        return
    if record.image_id != image_id:
        yield Problem(image_id, "misplaced", f"holds the image {record.image_id}")
    elif expected is not None and record.checksum != expected:
        yield Problem(image_id, "damaged", "zarr.json has another checksum than the index says")
    if not record.files:
        yield Problem(image_id, "unprotected", "has no checksums of its files; build it again")
    for name, own in record.files.items():
        yield from _file_damage(target, f"{path}/{name}", own, image_id, name)
    yield from (
        Problem(image_id, "unexpected", f"{name} is no file of this image")
        for name in sorted(_files_below(target, path) - {*record.files, "zarr.json"})
    )


def _root_damage(target: Target, root: StoreRoot) -> Iterator[Problem]:
    if not root.complete:
        yield Problem(f"{IMAGES}/zarr.json", "incomplete", "the build has not finished; run it again")
    elif not root.files:
        yield Problem(f"{IMAGES}/zarr.json", "unprotected", "there are no checksums; build the store again")
    for path, own in root.files.items():
        yield from _file_damage(target, path, own, path, "the file")


def _file_damage(target: Target, path: str, expected: str, where: str, name: str) -> Iterator[Problem]:
    try:
        data = target.read(path)
    except _GONE:
        yield Problem(where, "missing", f"{name} is not there")
    except BROKEN as error:
        yield Problem(where, "damaged", f"{name} can't be read: {error}")
    else:
        if checksum(data) != expected:
            yield Problem(where, "damaged", f"{name} has another checksum")


def _group_damage(target: Target, path: str) -> Iterator[Problem]:
    try:
        if target.read(path) != metadata.group():
            yield Problem(path, "damaged", "must be the text of a plain group")
    except _GONE:
        yield Problem(path, "missing", "is not there")
    except BROKEN as error:
        yield Problem(path, "damaged", f"can't be read: {error}")


def _checksums(target: Target, root: StoreRoot | None) -> Mapping[str, str | None]:
    """Return the checksum of every image's ``zarr.json`` by the index; nothing where that is damaged."""
    if root is None or not root.complete or any(_file_damage(target, INDEX, root.files.get(INDEX, ""), INDEX, "")):
        return {}
    try:
        table = Dataset(target, root).table
    except CorruptStoreError:
        return {}
    if "checksum" not in table:
        return {}
    return {str(i): own if isinstance(own, str) else None for i, own in zip(table["image_id"], table["checksum"], strict=True)}


def _images(target: Target) -> set[str]:
    try:
        return set(list_images(target))
    except StoreError:  # web servers list nothing
        return set()


def _files_below(target: Target, folder: str) -> set[str]:
    """Return the paths of all files below a folder, relative to it; none where files can't be listed."""
    found: set[str] = set()
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            names = target.list(f"{folder}/{inner}".rstrip("/"))
        except StoreError:
            return set()
        for name in names:
            path = f"{inner}/{name}".lstrip("/")
            if target.size(f"{folder}/{path}") is None:
                waiting.append(path)
            else:
                found.add(path)
    return found


def _strange_names(target: Target, ids: list[str], imports: tuple[str, ...] | None) -> Iterator[Problem]:
    """Yield names between the images, and among the imports where those are known, that belong to none."""
    tree: dict[str, set[str]] = {IMAGES: {"zarr.json"}}
    if imports is not None:
        tree[FOLDER] = {content_path(digest).removeprefix(f"{FOLDER}/") for digest in imports}
    for image_id in ids:
        above = IMAGES
        for part in image_id.split("/"):
            tree.setdefault(above, {"zarr.json"}).add(part)
            above = f"{above}/{part}"
    for folder, names in sorted(tree.items()):
        try:
            there = set(target.list(folder))
        except StoreError:
            return
        yield from (Problem(f"{folder}/{name}", "unexpected", "is no part of the store") for name in sorted(there - names))
