"""Whatever holds images: a store in a folder, in a zip archive or behind a URL, or the packs of a release."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from miso_gen.errors import StoreError
from miso_gen.store.manifest import MANIFEST, read_manifest
from miso_gen.store.named import locate, ways_to_images
from miso_gen.store.packed import PackedTarget
from miso_gen.store.root import IMAGES, read_root
from miso_gen.store.target import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.target import Target


def open_store(location: str | os.PathLike[str], options: Mapping[str, Any] | None = None, *, verify: bool = True) -> Target:
    """Return the target from which a store is read; only small files are touched.

    Args:
        location: Folder, URL, zip archive or name of a store, or of a release.
        options: Passed to the fsspec file system of a URL.
        verify: Compare the files of a release with its checksums when they are first read.

    Raises:
        StoreError: It is the part of a release without images, or a release of a newer format.
        CorruptStoreError: The manifest of a release was cut off or edited.
    """
    found = locate(location)
    text = os.fspath(found).rstrip("/") or "/"
    if text.rpartition("/")[2] == IMAGES:
        text = text.removesuffix(IMAGES) or "."
    target = open_target(text, options)
    if target.size(f"{IMAGES}/zarr.json") is not None or target.exists(IMAGES):
        if found != location:
            root = read_root(target)
            require_named(found, root.name, root.version)
        return target
    manifest = read_manifest(target)
    if manifest is None:
        return target  # whoever reads the root says what is there instead
    if found != location:
        require_named(found, manifest.name, manifest.version)
    if not any(target.size(pack) is not None for pack in manifest.packs):
        raise StoreError(
            f"{target.describe('')} must hold the images of {manifest.name}@{manifest.version}, got its {MANIFEST} alone. "
            f"{ways_to_images(target.describe(''), manifest.name, manifest.version)}"
        )
    return PackedTarget(target, manifest, verify=verify)


def require_named(folder: str | os.PathLike[str], name: str, version: str) -> None:
    """Raise StoreError unless a folder that was found by its name holds what it is called.

    Raises:
        StoreError: It holds another data set, or another version.
    """
    called = os.fspath(folder).rstrip("/").replace(os.sep, "/").split("/")[-2:]
    if called != [name, version]:
        raise StoreError(
            f"{os.fspath(folder)} must hold {called[0]} {called[-1]}, as it is called, got {name} {version}. Move it away."
        )
