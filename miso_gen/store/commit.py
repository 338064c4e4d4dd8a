"""How an image appears: whole, once, and last of all its own ``zarr.json``.

A local image is written into a temporary folder beside its final place and renamed. On an object store the files go to
their final names and the group's ``zarr.json``, written last, is what makes it an image.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from miso_gen.errors import CorruptStoreError, InputError, OutputError
from miso_gen.store import metadata
from miso_gen.store.arrays import parse_array, read_json
from miso_gen.store.digests import array_digest
from miso_gen.store.record import read_record
from miso_gen.store.shards import encode_chunk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from miso_gen.store.checksums import Recorder
    from miso_gen.store.layout import ArrayLayout, ImageLayout
    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.record import ImageRecord
    from miso_gen.store.target import Target

TEMPORARY = (".tmp-", ".old-", ".work-")  #: how names of unfinished folders start
_ATTEMPTS = 5
_INSTANCES = "labels/instances/0/zarr.json"


def beside(path: str, prefix: str, suffix: str = "") -> str:
    """Return the name of a hidden folder beside ``path``."""
    parent, _, name = path.rpartition("/")
    hidden = f"{prefix}{name}{suffix}"
    return f"{parent}/{hidden}" if parent else hidden


def padded_chunk(values: NDArray[Any], array: ArrayLayout) -> bytes:
    """Return the bytes of one chunk, filled up with zeros to the chunk's shape."""
    import numpy as np

    if values.shape == array.chunk:
        return encode_chunk(np.ascontiguousarray(values, array.np_dtype), array)
    padded = np.zeros(array.chunk, array.np_dtype)
    padded[tuple(slice(0, n) for n in values.shape)] = values
    return encode_chunk(padded, array)


def objects_digest(objects: ObjectTable | None) -> str | None:
    """Return the digest of an object table."""
    return None if objects is None else array_digest(objects.stored())


def write_metadata(recorder: Recorder, layout: ImageLayout, objects: ObjectTable | None) -> None:
    """Write everything but shards, summary and the group's own ``zarr.json``."""
    texts = {
        "labels/zarr.json": metadata.labels_group(layout),
        "labels/truth/zarr.json": metadata.truth_group(layout),
        "summary/zarr.json": metadata.summary_array(layout),
    }
    if "instances" in layout.names:
        texts["labels/instances/zarr.json"] = metadata.instances_group(layout, objects)
    for name in layout.names:
        for level in range(len(layout.levels)):
            texts[f"{layout.path(name, level)}/zarr.json"] = metadata.array(layout.array(name, level))
    if objects is not None:
        stored: NDArray[np.float64] = objects.stored()
        array = layout.objects(*stored.shape)
        texts["objects/zarr.json"] = metadata.canonical(array.metadata(objects.attributes()))
        for row in range(array.grid[0]):
            part = stored[row * array.chunk[0] : (row + 1) * array.chunk[0]]
            recorder.write(f"objects/{array.file(row, 0)}", padded_chunk(part, array))
    for path, text in texts.items():
        recorder.write(path, text)


def is_finished(target: Target, path: str, layout: ImageLayout, group: bytes) -> bool:
    """Whether the image at ``path`` has this ``zarr.json``, checksums of files apart, (so these digests) and all its files.

    Pixels are not read: that is ``validate_image``.
    """
    try:
        document = read_json(target, f"{path}/zarr.json")
        document["attributes"]["miso"].pop("files", None)
        if metadata.canonical(document) != group:
            return False
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, CorruptStoreError, KeyError, TypeError, AttributeError):
        return False
    return all(target.size(f"{path}/{file}") for file in image_files(layout))


def image_files(layout: ImageLayout) -> list[str]:
    """Return the files that hold an image's pixels and summary, relative to the image."""
    files = [f"summary/{file}" for file in layout.summary.files()]
    for level in range(len(layout.levels)):
        for shard in layout.shards(level):
            files += [layout.shard_file(name, level, shard) for name in layout.names]
    return files


def finished_record(target: Target, path: str, layout: ImageLayout, expected: Mapping[str, Any]) -> ImageRecord | None:
    """Return the record of an image that an earlier build finished, None where it must be built.

    Pixels are not read: that is ``validate_image``.

    Args:
        target: The store.
        path: Folder of the image.
        layout: What it should be. Where it has no instances but the image does, as both agree otherwise, the image counts:
            whether there are any may not be known without its scene.
        expected: What its ``miso`` attributes must say, as far as it is known without rendering.
    """
    try:
        record = read_record(target, path)
        if any(record.miso.get(name) != value for name, value in expected.items()):
            return None
        if layout.instances_dtype is None and record.instances_digest is not None:
            stored = parse_array(read_json(target, f"{path}/{_INSTANCES}"), target.describe(f"{path}/{_INSTANCES}"))
            layout = replace(layout, instances_dtype=stored.dtype)
        for name in layout.names:
            if target.read(f"{path}/{layout.path(name)}/zarr.json") != metadata.array(layout.array(name)):
                return None  # other chunks, or another shape
    except (FileNotFoundError, NotADirectoryError, CorruptStoreError, InputError):
        return None
    whole = all(target.size(f"{path}/{file}") for file in image_files(layout))
    return record if whole and record.files else None


def commit_folder(target: Target, temporary: str, path: str, layout: ImageLayout, group: bytes, attempt: str) -> None:
    """Make a finished temporary folder the image at ``path``, on targets that rename.

    An image that someone else finished with the same digests is kept and ours dropped; any other is replaced.

    Args:
        target: The store.
        temporary: Folder with everything, the group's ``zarr.json`` included.
        path: Where it goes.
        layout: The image.
        group: The group's ``zarr.json`` without checksums of files.
        attempt: Part of the names of folders that only this attempt uses.
    """
    for _ in range(_ATTEMPTS):
        if target.exists(path):
            if is_finished(target, path, layout, group):
                target.remove(temporary)
                return
            discarded = beside(path, ".old-", f"-{attempt}")
            with suppress(FileNotFoundError):  # another attempt moved it away first
                target.rename(path, discarded)
            target.remove(discarded)
        try:
            target.rename(temporary, path)
        except FileExistsError:  # another attempt was faster: look at what it left
            continue
        return
    raise OutputError(
        f"{target.describe(path)} must be written by one build, got {_ATTEMPTS} changes by others. Stop the others."
    )


def replaceable(target: Target, path: str, layout: ImageLayout, group: bytes) -> bool:
    """Make room for an image on a target without rename; False where the same image is there already."""
    if is_finished(target, path, layout, group):
        return False
    target.remove(f"{path}/zarr.json")  # first, so that nobody takes a half-replaced image for a whole one
    target.remove(path)
    return True
