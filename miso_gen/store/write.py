"""Write one image that fits into one shard a level: one worker, one call of ``finish``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miso_gen.geometry import Box
from miso_gen.store import metadata
from miso_gen.store.area import AreaEncoder
from miso_gen.store.arrays import StoredArray
from miso_gen.store.checksums import Recorder, checksum, with_files
from miso_gen.store.commit import (
    beside,
    commit_folder,
    objects_digest,
    padded_chunk,
    replaceable,
    write_metadata,
)
from miso_gen.store.pyramid import downsampled_shard
from miso_gen.store.record import ImageRecord, image_attributes, read_record
from miso_gen.store.target import attempt_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.area import Plane
    from miso_gen.store.layout import ImageLayout
    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.target import Target


class ImageWriter:
    """Takes the tiles of one image and makes it appear, whole or not at all.

    Nothing is written before ``finish``: until then the encoded image is held, a tenth of its pixels or so, and the
    pixels of units that tiles left open.

    Args:
        target: The store.
        path: Folder of the image in it, for example ``images.zarr/gsp/test/0007``.
        layout: The image; it must have one shard at level 0 (``layout.single``).

    Raises:
        ValueError: The layout has several shards; use ``ShardedImage``.
    """

    def __init__(self, target: Target, path: str, layout: ImageLayout) -> None:
        if not layout.single:
            count = len(layout.shards(0))
            raise ValueError(f"image to write at once must have one shard, got {count}. Use ShardedImage.")
        self.target, self.path, self.layout = target, path, layout
        self._area = AreaEncoder(layout, Box(0, 0, layout.height, layout.width))

    def write(self, box: Box, image: Plane, truth: Plane, instances: Plane | None = None) -> None:
        """Take one tile; see ``AreaEncoder.write``. Any tiling gives the same files; whole units are fastest."""
        self._area.write(box, image, truth, instances)

    def finish(self, attributes: Mapping[str, Any], objects: ObjectTable | None = None) -> ImageRecord:
        """Write all files and make the image appear.

        Args:
            attributes: What is known of the image, at least the names of ``GIVEN``; JSON values, no nan.
            objects: Its objects, if they have parameters worth keeping.

        Returns:
            Its record. If the same image is there already, that one is kept.

        Raises:
            ValueError: Tiles are missing, or an attribute is.
            SpaceError: The disk is full.
            OutputError: The place can't be written.
        """
        result = self._area.finish()
        miso = image_attributes(
            self.layout, attributes, result.digests, result.histogram, result.truth_counts, objects_digest(objects)
        )
        group = metadata.image_group(self.layout, str(attributes["id"]), miso)
        files = {self.layout.shard_file(name, 0, (0, 0)): data for name, data in result.files.items()}
        summary = self.layout.summary
        files[f"summary/{summary.file(0, 0, 0)}"] = padded_chunk(result.summary, summary)
        if self.target.renames:
            attempt = attempt_id()
            temporary = beside(self.path, ".tmp-", f"-{attempt}")
            try:
                miso, text = self._write(temporary, files, objects, miso)
                self.target.write(f"{temporary}/zarr.json", text, atomic=False)
                commit_folder(self.target, temporary, self.path, self.layout, group, attempt)
            except BaseException:
                self.target.remove(temporary)
                raise
        elif replaceable(self.target, self.path, self.layout, group):
            miso, text = self._write(self.path, files, objects, miso)
            self.target.write(f"{self.path}/zarr.json", text)
        else:
            return read_record(self.target, self.path)
        return ImageRecord(self.path, miso, checksum(text))

    def _write(
        self, folder: str, files: Mapping[str, bytes], objects: ObjectTable | None, miso: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes]:
        """Write all but the group's ``zarr.json``; return its ``miso`` attributes, checksums included, and its text."""
        recorder = Recorder(self.target, folder, atomic=False)
        for path, data in files.items():
            recorder.write(path, data)
        write_metadata(recorder, self.layout, objects)
        for level in range(1, len(self.layout.levels)):
            for name in self.layout.names:
                below = StoredArray(self.target, f"{folder}/{self.layout.path(name, level - 1)}")
                for shard, box in self.layout.shards(level).items():
                    array = self.layout.array(name, level)
                    data = downsampled_shard(below, array, box, mean=name == "image")
                    recorder.write(self.layout.shard_file(name, level, shard), data)
        complete = with_files(miso, recorder.files)
        return complete, metadata.image_group(self.layout, str(miso["id"]), complete)
