"""Write one image of several shards: pieces that any process can do in any order and a killed build can resume.

::

    image = ShardedImage(target, path, layout, token)
    for shard in image.shards(0):            # by many workers
        writer = image.writer(shard); writer.write(...); writer.finish()
    for level in range(1, image.levels):     # one level after the other
        for shard in image.shards(level):    # by many workers
            image.downsample(level, shard)
    record = image.assemble(attributes)      # once

Files are gathered in ``.work-<name>/image`` beside the final folder (on object stores under their final names), and
beside them, in ``.work-<name>/parts``, one record for every piece that is done, written after its files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miso_gen.errors import CorruptStoreError
from miso_gen.store import metadata
from miso_gen.store.area import AreaEncoder
from miso_gen.store.arrays import StoredArray, read_json
from miso_gen.store.checksums import Recorder, checksum, with_files
from miso_gen.store.commit import (
    beside,
    commit_folder,
    objects_digest,
    padded_chunk,
    write_metadata,
)
from miso_gen.store.digests import BlockDigests
from miso_gen.store.layout import LAYOUT
from miso_gen.store.pyramid import downsampled_shard
from miso_gen.store.record import ImageRecord, image_attributes
from miso_gen.store.target import attempt_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.geometry import Box
    from miso_gen.store.area import Plane
    from miso_gen.store.layout import ImageLayout
    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.target import Target

Shard = tuple[int, int]


@dataclass(frozen=True)
class ShardedImage:
    """One image in the making; plain data, so it travels to workers.

    Args:
        target: The store.
        path: Folder of the image in it.
        layout: The image.
        token: What the pixels depend on, for example the recipe's digest and the image id: pieces that an earlier
            build left under another token are done again.
    """

    target: Target
    path: str
    layout: ImageLayout
    token: str = ""

    @property
    def work(self) -> str:
        """Folder of the unfinished image and its records."""
        return beside(self.path, ".work-")

    @property
    def folder(self) -> str:
        """Where files go until the image is complete."""
        return f"{self.work}/image" if self.target.renames else self.path

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.layout.levels)

    def shards(self, level: int = 0) -> dict[Shard, Box]:
        """Return the box of every piece of a level, in pixels of that level."""
        return self.layout.shards(level)

    def is_done(self, level: int, shard: Shard) -> bool:
        """Whether this piece was written before, under the same token, and its files are all there."""
        try:
            part = read_json(self.target, self._part_path(level, shard))
            if part["token"] != self._full_token:
                return False
            return all(self.target.size(f"{self.folder}/{file}") == size for file, (size, _) in part["files"].items())
        except (FileNotFoundError, NotADirectoryError, KeyError, AttributeError, TypeError, CorruptStoreError):
            return False  # never done, or its record was cut off

    def writer(self, shard: Shard) -> ShardWriter:
        """Return the writer of one shard of level 0."""
        return ShardWriter(self, shard)

    def downsample(self, level: int, shard: Shard) -> None:
        """Make one shard of a level from the level below, which must be done; memory is a few chunks.

        Raises:
            CorruptStoreError: A shard below is missing or broken.
        """
        files = {}
        for name in self.layout.names:
            below = StoredArray(
                self.target, f"{self.folder}/{self.layout.path(name, level - 1)}", self.layout.array(name, level - 1)
            )
            array, box = self.layout.array(name, level), self.layout.shards(level)[shard]
            path = self.layout.shard_file(name, level, shard)
            files[path] = self._write(path, downsampled_shard(below, array, box, mean=name == "image"))
        self._write_part(level, shard, {"files": files})

    def assemble(self, attributes: Mapping[str, Any], objects: ObjectTable | None = None) -> ImageRecord:
        """Merge the records of all pieces, write the metadata and make the image appear.

        Args:
            attributes: As for ``ImageWriter.finish``.
            objects: As for ``ImageWriter.finish``.

        Raises:
            ValueError: A piece is not done, or an attribute is missing.
        """
        layout, target = self.layout, self.target
        digests = {name: BlockDigests(layout.array(name).dtype, layout.array(name).shape) for name in layout.names}
        histogram, counts = np.zeros(256, np.int64), np.zeros(2, np.int64)
        files: dict[str, str] = {}
        for level in range(self.levels):
            for shard in layout.shards(level):
                if not self.is_done(level, shard):
                    raise ValueError(f"pieces of {self.path} must all be done, got none for shard {shard} of level {level}.")
                part = read_json(target, self._part_path(level, shard))
                files.update((path, digest) for path, (_, digest) in part["files"].items())
                if level == 0:
                    for name, blocks in part["digests"].items():
                        digests[name].take_json(blocks)
                    histogram += np.array(part["histogram"], np.int64)
                    counts += np.array(part["truth_counts"], np.int64)
        shares = (int(counts[0]), int(counts[1]))
        miso = image_attributes(layout, attributes, digests, histogram, shares, objects_digest(objects))
        group = metadata.image_group(layout, str(attributes["id"]), miso)
        recorder = Recorder(target, self.folder, atomic=True)
        write_metadata(recorder, layout, objects)
        miso = with_files(miso, {**files, **recorder.files})
        text = metadata.image_group(layout, str(attributes["id"]), miso)
        target.write(f"{self.folder}/zarr.json", text)
        if target.renames:
            commit_folder(target, self.folder, self.path, layout, group, attempt_id())
        target.remove(self.work)
        return ImageRecord(self.path, miso, checksum(text))

    def discard(self) -> None:
        """Remove what earlier attempts left."""
        target = self.target
        target.remove(self.work)
        if not target.renames:
            target.remove(self.path)

    @property
    def _full_token(self) -> str:
        # Files depend on chunk and codec too, so a piece of another layout is no piece of this image.
        return f"{LAYOUT} {self.layout!r} {self.token}"

    def _part_path(self, level: int, shard: Shard) -> str:
        return f"{self.work}/parts/{level}-{shard[0]}-{shard[1]}.json"

    def _write(self, path: str, data: bytes) -> tuple[int, str]:
        self.target.write(f"{self.folder}/{path}", data)
        return len(data), checksum(data)

    def _write_part(self, level: int, shard: Shard, part: dict[str, Any]) -> None:
        text = json.dumps({"token": self._full_token, **part}, sort_keys=True)
        self.target.write(self._part_path(level, shard), text.encode())


class ShardWriter:
    """Takes the tiles of one shard of level 0.

    Args:
        image: The image.
        shard: (row, column) of the shard.
    """

    def __init__(self, image: ShardedImage, shard: Shard) -> None:
        self.image, self.shard = image, shard
        self.box = image.shards(0)[shard]
        self._area = AreaEncoder(image.layout, self.box)

    def write(self, box: Box, image: Plane, truth: Plane, instances: Plane | None = None) -> None:
        """Take one tile, ``box`` in pixels of the whole image; see ``AreaEncoder.write``."""
        self._area.write(box, image, truth, instances)

    def finish(self) -> None:
        """Write the shard's files, then its record.

        Raises:
            ValueError: Tiles are missing.
            SpaceError: The disk is full.
        """
        image, layout = self.image, self.image.layout
        if not image.target.renames:
            # An image that stands there already is about to lose its pixels.
            image.target.remove(f"{image.path}/zarr.json")
        result = self._area.finish()
        files = {}
        for name, data in result.files.items():
            path = layout.shard_file(name, 0, self.shard)
            files[path] = image._write(path, data)
        summary = f"summary/{layout.summary.file(0, *self.shard)}"
        files[summary] = image._write(summary, padded_chunk(result.summary, layout.summary))
        part = {
            "files": files,
            "digests": {name: digests.to_json() for name, digests in result.digests.items()},
            "histogram": result.histogram.tolist(),
            "truth_counts": list(result.truth_counts),
        }
        image._write_part(0, self.shard, part)
