"""Find every file of a store that is missing, damaged, misplaced or strange, by checksums: no pixel is decoded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from miso_gen.errors import CorruptStoreError, MisoGenError, StoreError
from miso_gen.store import metadata
from miso_gen.store.checksums import checksum
from miso_gen.store.read import Dataset
from miso_gen.store.record import read_record
from miso_gen.store.root import IMAGES, StoreRoot, image_path, list_images, read_root
from miso_gen.store.validate import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from miso_gen.store.target import Target

_GONE: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_BROKEN: Final = (MisoGenError, OSError, ValueError, EOFError, zlib.error)  # whatever reading damaged bytes may raise


def store_damage(target: Target, seen: Callable[[str], None] | None = None) -> Iterator[Problem]:
    """Yield what is wrong with the files of a complete store; nothing: every byte is as its build left it.

    Args:
        target: The store.
        seen: Called with the id of every image that was looked at.
    """
    root = None
    try:
        root = read_root(target)
    except _BROKEN as error:
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
    yield from _strange_names(target, ids)


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
    except _BROKEN as error:
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
    except _BROKEN as error:
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
    except _BROKEN as error:
        yield Problem(path, "damaged", f"can't be read: {error}")


def _checksums(target: Target, root: StoreRoot | None) -> Mapping[str, str | None]:
    """Return the checksum of every image's ``zarr.json`` by the index; nothing where that can't be read."""
    if root is None or not root.complete:
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


def _strange_names(target: Target, ids: list[str]) -> Iterator[Problem]:
    """Yield names between the images that belong to none."""
    tree: dict[str, set[str]] = {IMAGES: {"zarr.json"}}
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
