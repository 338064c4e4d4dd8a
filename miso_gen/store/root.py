"""The store as a whole: its root group says what it is and whether it is complete; the index lists its images.

A store becomes complete in this order: images, ``instances.parquet``, ``index.parquet``, the root's ``zarr.json``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.contents import content_path
from miso_gen.errors import CorruptStoreError, IncompleteStoreError, OutputError, StoreError, listing
from miso_gen.store import metadata
from miso_gen.store.arrays import StoredArray, parse_json, read_json
from miso_gen.store.checksums import checksum
from miso_gen.store.commit import TEMPORARY
from miso_gen.store.digests import root_digest
from miso_gen.store.imports import RECIPE
from miso_gen.store.index import INDEX, INSTANCES, index_table, instances_table, to_parquet
from miso_gen.store.layout import LAYOUT
from miso_gen.store.objects import ObjectTable
from miso_gen.store.record import ImageRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from miso_gen.store.target import Target

IMAGES = "images.zarr"
_STRAY = ".tmp-"  # in the name of a file that is not written to its end


@dataclass(frozen=True)
class StoreRoot:
    """What a store is: ``attributes.miso`` of ``images.zarr/zarr.json``.

    Attributes:
        name: Name of the data set.
        version: Its version.
        recipe: The recipe it was built from.
        recipe_digest: Digest of the recipe.
        generator: Versions of what built it.
        state: ``building`` or ``complete``.
        root_digest: Digest over all images; None until complete.
        images: Number of images; None until complete.
        layout: Version of the store layout.
        imports: Digests of the imported contents below ``imports/``, sorted.
        files: Checksums of the tables, the recipe and the imports, by path; empty until complete.
    """

    name: str
    version: str
    recipe: Any
    recipe_digest: str
    generator: Mapping[str, Any]
    state: str = "building"
    root_digest: str | None = None
    images: int | None = None
    layout: int = LAYOUT
    imports: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the build has finished."""
        return self.state == "complete"


def image_path(image_id: str) -> str:
    """Return the folder of an image in a store."""
    return f"{IMAGES}/{image_id}"


def create_root(target: Target, root: StoreRoot, ids: Iterable[str]) -> StoreRoot:
    """Write the root as ``building`` and every group between it and the images; images that are there stay.

    Args:
        target: The store.
        root: What it will be; state, digest and count are set here.
        ids: All image ids, ``scenario/split/number``.

    Raises:
        OutputError: The place holds something that is no miso-gen store, or can't be written.
    """
    if target.exists(IMAGES) and target.list(IMAGES):
        try:
            read_root(target)
        except CorruptStoreError:
            pass  # a root that was cut off is written again
        except StoreError as error:
            raise OutputError(f"{target.describe('')} must be new or a miso-gen store: {error}") from error
    building = StoreRoot(
        **{**asdict(root), "state": "building", "root_digest": None, "images": None, "files": {}, "layout": LAYOUT}
    )
    _write_root(target, building)
    groups = {"/".join(parts[:n]) for parts in (image_id.split("/") for image_id in ids) for n in range(1, len(parts))}
    text = metadata.group()
    for name in sorted(groups):
        path = f"{image_path(name)}/zarr.json"
        if target.size(path) != len(text):
            target.write(path, text)
    return building


def read_root(target: Target) -> StoreRoot:
    """Return what a store is.

    Raises:
        StoreError: There is nothing, or something that is no miso-gen store, or a newer layout.
        CorruptStoreError: The root's ``zarr.json`` is cut off or edited.
    """
    name = target.describe("")
    try:
        text = target.read(f"{IMAGES}/zarr.json")
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{name} must be a miso-gen store, got {_what_is_there(target)}. Build one with: miso-gen build"
        ) from None
    attributes = parse_json(text, f"{name}/{IMAGES}/zarr.json").get("attributes")
    miso = attributes.get("miso") if isinstance(attributes, dict) else None
    if not isinstance(miso, dict) or not isinstance(miso.get("layout"), int):
        raise StoreError(f"{name} must be a miso-gen store, got a Zarr group of something else. Open it with zarr.")
    if miso["layout"] > LAYOUT:
        raise StoreError(
            f"layout of {name} must be at most {LAYOUT}, got {miso['layout']}. Upgrade: pip install --upgrade miso-gen"
        )
    try:
        others = {key: value for key, value in (attributes or {}).items() if key != "miso"}
        if ("checksum" in miso or miso.get("files")) and root_text(miso, others) != text:
            raise CorruptStoreError(
                f"{name}/{IMAGES}/zarr.json must be as its build left it, got another text. Build or fetch it again."
            )
        fields = {name: miso[name] for name in StoreRoot.__dataclass_fields__ if name not in ("imports", "files")}
        return StoreRoot(**fields, imports=tuple(miso.get("imports", ())), files=miso.get("files", {}))
    except KeyError as error:
        raise CorruptStoreError(f"{name}/{IMAGES}/zarr.json must say {error}, got nothing. Build or fetch it again.") from None


def collect_records(target: Target, ids: Iterable[str]) -> list[ImageRecord]:
    """Return the records of finished images, in the order of ``ids``.

    Raises:
        IncompleteStoreError: Some images are not finished; the message names them.
        CorruptStoreError: The ``zarr.json`` of an image is broken.
    """
    records, missing = [], []
    for image_id in ids:
        try:
            records.append(read_record(target, image_path(image_id)))
        except (FileNotFoundError, NotADirectoryError):
            missing.append(image_id)
    if missing:
        raise IncompleteStoreError(
            f"images of {target.describe('')} must all be finished, got none for {listing(missing, 5)}. Build again: it resumes."
        )
    return records


def list_images(target: Target) -> list[str]:
    """Return the ids of the finished images that are there, sorted."""
    return sorted(_walk(target, ""))


def finish_root(target: Target, root: StoreRoot, records: Iterable[ImageRecord]) -> StoreRoot:
    """Write the tables and, last, the root as ``complete``.

    Args:
        target: The store.
        root: As returned by ``create_root``.
        records: All images. None at all make an empty, complete store.

    Returns:
        The complete root with its digest.
    """
    rows, tables = [], []
    for record in records:
        path = image_path(record.image_id)
        rows.append({"path": path, **record.row()})
        if "objects" in record.miso["digests"]:
            tables.append((record.image_id, read_objects(target, path)))
    written = {INSTANCES: to_parquet(instances_table(tables)), INDEX: to_parquet(index_table(rows))}
    for path, data in written.items():
        target.write(path, data)
    files = {path: checksum(data) for path, data in written.items()}
    for path in (RECIPE, *map(content_path, root.imports)):
        if target.size(path) is not None:
            files[path] = checksum(target.read(path))
    fields = {**asdict(root), "state": "complete", "root_digest": root_digest(rows), "images": len(rows), "files": files}
    complete = StoreRoot(**fields)
    _write_root(target, complete)
    return complete


def read_objects(target: Target, path: str) -> ObjectTable:
    """Return the object table of an image that has one."""
    document = read_json(target, f"{path}/objects/zarr.json")
    array = StoredArray(target, f"{path}/objects")
    return ObjectTable.from_stored(array.all().astype(np.float64, copy=False), document["attributes"])


def sweep(target: Target, *, keep_work: bool = True) -> None:
    """Remove what killed attempts left beside images. Only for the holder of the build lock.

    Args:
        target: The store.
        keep_work: Keep the finished pieces of unfinished images, from which a build resumes.
    """
    prefixes = tuple(prefix for prefix in TEMPORARY if not (keep_work and prefix == ".work-"))
    for name in target.list(""):
        if _STRAY in name:
            target.remove(name)
    folders = [IMAGES]
    while folders:
        folder = folders.pop()
        for name in target.list(folder):
            path = f"{folder}/{name}"
            if name.startswith(prefixes) or _STRAY in name:
                target.remove(path)
            elif "/.work-" in path:  # pieces that are kept, at any depth
                if target.size(path) is None:
                    folders.append(path)
            elif not name.startswith(".") and name != "zarr.json" and folder.count("/") < 2:
                folders.append(path)


def _write_root(target: Target, root: StoreRoot) -> None:
    target.write(f"{IMAGES}/zarr.json", root_text(asdict(root)))


def root_text(miso: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> bytes:
    """Return the root's ``zarr.json``, whose ``checksum`` is that of the same text without it.

    Args:
        miso: Its ``miso`` attributes; a ``checksum`` among them is replaced.
        others: Its other attributes: the packs of a release are collections of OME-Zarr.
    """
    plain = {name: value for name, value in miso.items() if name != "checksum"}
    own = checksum(metadata.group({**(others or {}), "miso": plain}))
    return metadata.group({**(others or {}), "miso": {**plain, "checksum": own}})


def _walk(target: Target, below: str) -> Iterator[str]:
    folder = image_path(below) if below else IMAGES
    for name in target.list(folder):
        if name.startswith(".") or name == "zarr.json":
            continue
        inner = f"{below}/{name}" if below else name
        if inner.count("/") < 2:
            yield from _walk(target, inner)
        elif target.size(f"{image_path(inner)}/zarr.json"):
            yield inner


def _what_is_there(target: Target) -> str:
    if not target.exists(""):
        return "no such path"
    names = target.list("")
    if "zarr.json" in names or ".zgroup" in names or ".zarray" in names:
        return "a Zarr group or array of something else"
    if target.exists(IMAGES):
        return f"{IMAGES} without a zarr.json"
    return f"a folder without {IMAGES}" if names or target.size("") is None else "a file"
