"""Folders of a store of maps: groups and arrays that appear in one step, and what of them is there."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from miso_gen.errors import InputError, OutputError
from miso_gen.store import metadata
from miso_gen.store.local import LocalTarget
from miso_gen.store.target import attempt_id, write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METADATA: Final = "zarr.json"
_UNFINISHED: Final = ".tmp-"
_STALE_S: Final = 86400.0  #: after which what nobody finished is removed
_RENAMES: Final = 20  #: tries against others that write the same map


@contextmanager
def unfinished(root: Path) -> Iterator[Path]:
    """Yield a place in a store for a folder that is renamed later; what is still there afterwards is removed."""
    folder = root / f"{_UNFINISHED}{attempt_id()}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what was left unfinished in a store more than a day ago."""
    for entry in root.glob(f"{_UNFINISHED}*"):
        try:
            stale = time.time() - entry.stat().st_mtime > _STALE_S
        except FileNotFoundError:  # finished just now
            continue
        if stale:
            shutil.rmtree(entry, ignore_errors=True)


def make_group(root: Path, path: str, attributes: Mapping[str, Any]) -> None:
    """Make a group with its ``zarr.json`` in one step, unless one is there.

    Args:
        root: A folder, where the group lies until it is whole.
        path: Folder of the group in it; the one above exists.
        attributes: What it says under ``miso``; empty: nothing.
    """
    if (root / path / METADATA).is_file():
        return
    with unfinished(root) as folder:
        LocalTarget(folder).write(METADATA, metadata.group({"miso": dict(attributes)} if attributes else {}), atomic=False)
        try:
            LocalTarget(root).rename(folder.name, path)
        except FileExistsError:  # somebody else was faster
            return


def place_array(root: Path, folder: Path, group: str, image_id: str) -> None:
    """Move a finished array to its place, and make the groups above it; one that is there is replaced.

    Args:
        root: The store.
        folder: The array, in the store.
        group: Path of the group of its explainer.
        image_id: The image.

    Raises:
        InputError: The image lies inside another with a map, or others lie inside it.
        OutputError: Others write the same map all the time.
    """
    path = group
    for part in image_id.split("/")[:-1]:
        path = f"{path}/{part}"
        if is_array(f"{root}/{path}"):
            other = path.removeprefix(f"{group}/")
            raise InputError(f"image id must not lie inside another with a map, got {image_id!r} in {other!r}. Rename it.")
        make_group(root, path, {})
    target, final = LocalTarget(root), root / group / image_id
    for _ in range(_RENAMES):
        try:
            target.rename(folder.name, f"{group}/{image_id}")
        except FileExistsError:
            if final.exists() and not is_array(str(final)):
                raise InputError(f"image id must not hold other images with maps, got {image_id!r}. Rename it.") from None
            put_away(root, final)
        else:
            return
    raise OutputError(f"{final} must be written by one process at a time, got several. Give each its own images.")


def put_away(root: Path, folder: Path) -> None:
    """Remove a folder of a store so that it is gone at once, whatever happens while its files are deleted."""
    with unfinished(root) as old, write_errors(str(folder)):
        try:
            folder.rename(old)
        except FileNotFoundError:  # somebody else was faster
            return


def is_array(folder: str) -> bool:
    """Whether a folder is an array: beside its ``zarr.json`` it has chunks, and not a group that is called like theirs."""
    return (
        os.path.isfile(f"{folder}/{METADATA}")  # noqa: PTH113  # several times as fast, for each of thousands of maps
        and os.path.isdir(f"{folder}/c")  # noqa: PTH112
        and not os.path.exists(f"{folder}/c/{METADATA}")  # noqa: PTH110
    )


def arrays_in(folder: str, prefix: str = "") -> Iterator[str]:
    """Yield the paths of the arrays below a folder, which is none itself, in any order; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        inner = f"{folder}/{name}"
        if is_array(inner):
            yield prefix + name
        else:
            yield from arrays_in(inner, f"{prefix}{name}/")


def groups_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the groups directly in a folder, sorted; none where there is no folder."""
    if not folder.is_dir():
        return ()
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    return tuple(name for name in names if (folder / name / METADATA).is_file())
