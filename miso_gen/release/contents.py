"""What a place says it holds, image by image, whatever it is: a store, a release, or a manifest alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miso_gen.errors import MisoGenError
from miso_gen.store import (
    MANIFEST,
    ImageEntry,
    Manifest,
    PackedTarget,
    Problem,
    known_releases,
    known_stores,
    open_dataset,
    open_target,
    read_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from miso_gen.store import Dataset


def contents_of(location: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Manifest:
    """Return what a place holds.

    Args:
        location: A store, a release (its images need not be there), a ``manifest.json``, or ``name@version``. Of a folder that
            is a store and a release, the manifest counts.
        options: Passed to the fsspec file system of a URL.

    Raises:
        StoreError: It is none of these.
        CorruptStoreError: Its manifest, root or index is cut off or edited.
    """
    text = os.fspath(location).rstrip("/")
    if not os.path.lexists(text) and (released := released_as(text) or _newest_without_images(text)) is not None:
        return released
    if text.rpartition("/")[2] == MANIFEST:
        text = text.removesuffix(MANIFEST).rstrip("/") or "."
    target = open_target(text, options)
    if (manifest := read_manifest(target)) is not None:
        return manifest
    return manifest_of(open_dataset(location, options=options))


def released_as(name: str, version: str | None = None) -> Manifest | None:
    """Return the manifest of a release that is known here, None for none.

    Args:
        name: Its name, or ``name@version``.
        version: Its version.
    """
    if version is None:
        name, _, version = name.partition("@")
    folder = known_releases().get((name, version))
    return None if folder is None else read_manifest(open_target(str(folder)))


def _newest_without_images(name: str) -> Manifest | None:
    """Return the manifest of the newest release of a name of which no images are here, None for none."""
    if any(owner == name for owner, _ in known_stores()):
        return None
    newest = newest_release(name)
    return None if newest is None else newest[0]


def released_like(manifest: Manifest, apart_from: str) -> Manifest | None:
    """Return the release that is known here and has the same images; else the one of the same version; None for none.

    Args:
        manifest: What the images say of themselves.
        apart_from: A folder that does not count: nothing vouches for itself.
    """
    same_version = None
    for (name, version), folder in reversed(known_releases().items()):
        if name != manifest.name or str(folder.absolute()) == apart_from:
            continue
        released = read_manifest(open_target(str(folder)))
        if released is not None and released.root_digest == manifest.root_digest:
            return released
        if version == manifest.version:
            same_version = released
    return same_version


def newest_release(name: str, apart_from: Path | None = None) -> tuple[Manifest, Path] | None:
    """Return the release of a name with the greatest version, and its folder; None where there is none.

    Args:
        name: Name of the data set.
        apart_from: A folder that does not count.
    """
    folders = [path for (owner, _), path in known_releases().items() if owner == name]
    for folder in reversed(folders):
        if apart_from is None or folder.absolute() != apart_from.absolute():
            manifest = read_manifest(open_target(str(folder)))
            if manifest is not None:
                return manifest, folder
    return None


def manifest_of(dataset: Dataset) -> Manifest:
    """Return what a store holds; its date is empty, and it has no files."""
    if isinstance(dataset.target, PackedTarget):
        return dataset.target.manifest
    recipe, root = dataset.recipe, dataset.root
    images = {row["image_id"]: entry_of(dataset, row) for row in dataset.table.to_dict("records")}
    return Manifest(
        name=root.name,
        version=root.version,
        title=recipe.get("title", ""),
        license=recipe.get("license", ""),
        date="",
        previous=None,
        recipe_digest=root.recipe_digest,
        root_digest=root.root_digest or "",
        images=images,
    )


def entry_of(dataset: Dataset, row: Mapping[Any, Any], pack: str | None = None) -> ImageEntry:
    """Return the entry of an image, given its row of the index.

    Args:
        dataset: The store.
        row: The row.
        pack: The archive that will hold the image.
    """
    image_id = row["image_id"]
    objects = dataset[image_id].attributes["digests"].get("objects")
    known = {name: _given(row.get(name)) for name in ImageEntry._fields if name not in ("objects_digest", "pack")}
    return ImageEntry(**known, objects_digest=objects, pack=pack)


def disagreements(manifest: Manifest, dataset: Dataset) -> Iterator[Problem]:
    """Yield where a manifest says other things than packs and index; their checksums may be right all the same.

    Args:
        manifest: The manifest of a release.
        dataset: What its packs and its index hold.
    """
    root = dataset.root
    said: dict[str, Any] = {"title": dataset.recipe.get("title", ""), "license": dataset.recipe.get("license", "")}
    said |= {name: getattr(root, name) for name in ("name", "version", "recipe_digest", "root_digest")}
    for name, value in said.items():
        if getattr(manifest, name) != value:
            yield Problem(MANIFEST, "contradiction", f"{name} is {getattr(manifest, name)!r}, and {value!r} in the packs")
    rows = {str(row["image_id"]): row for row in dataset.table.to_dict("records")}
    for image_id in sorted(rows.keys() ^ manifest.images.keys()):
        yield Problem(image_id, "contradiction", "is not in both, manifest and index")
    for image_id in sorted(rows.keys() & manifest.images.keys()):
        entry = manifest.images[image_id]
        try:
            found = entry_of(dataset, rows[image_id], entry.pack)
        except (MisoGenError, OSError) as error:
            yield Problem(image_id, "damaged", f"can't be read from {entry.pack}: {error}")
            continue
        for name, own, other in zip(ImageEntry._fields, entry, found, strict=True):
            if own != other:
                yield Problem(image_id, "contradiction", f"{name} is {own!r} in the manifest, and {other!r} beside it")


def _given(value: Any) -> Any:
    """Return a value of a table as JSON has it; nan is None."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
