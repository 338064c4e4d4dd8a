"""Whatever holds images: a store in a folder, in a zip archive or behind a URL, or the packs of a release."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from miso_gen.errors import StoreError
from miso_gen.store.manifest import MANIFEST, read_manifest
from miso_gen.store.named import locate
from miso_gen.store.packed import PackedTarget
from miso_gen.store.root import IMAGES
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
    text = os.fspath(locate(location)).rstrip("/") or "/"
    if text.rpartition("/")[2] == IMAGES:
        text = text.removesuffix(IMAGES) or "."
    target = open_target(text, options)
    if target.size(f"{IMAGES}/zarr.json") is not None or target.exists(IMAGES):
        return target
    manifest = read_manifest(target)
    if manifest is None:
        return target  # whoever reads the root says what is there instead
    if not any(target.size(pack) is not None for pack in manifest.packs):
        name = f"{manifest.name}@{manifest.version}"
        raise StoreError(
            f"{target.describe('')} must hold the images of {name}, got its {MANIFEST} alone. "
            f"Fetch them: miso-gen fetch {name}; or build them: miso-gen build {target.describe('recipe.yaml')}"
        )
    return PackedTarget(target, manifest, verify=verify)
