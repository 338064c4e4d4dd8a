"""Checksums of files: the ``zarr.json`` of an image vouches for its other files, the index for that, the root for the index.

Digests (:mod:`miso_gen.store.digests`) are of pixels and outlive another compression; checksums are of bytes, so that any
change of any file is found, and named, without decoding one pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import blake3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.store.target import Target


def checksum(data: bytes) -> str:
    """Return the BLAKE3 of bytes, 64 hexadecimal digits."""
    return blake3.blake3(data).hexdigest()


class Recorder:
    """Writes files below a folder of a target, and notes the checksum of each.

    Args:
        target: Where to.
        folder: The folder.
        atomic: As for ``Target.write``.

    Attributes:
        files: Checksum of every file written, by its path below the folder.
    """

    def __init__(self, target: Target, folder: str, *, atomic: bool) -> None:
        self.target, self.folder, self.atomic = target, folder, atomic
        self.files: dict[str, str] = {}

    def write(self, path: str, data: bytes) -> None:
        """Write a file, given by its path below the folder."""
        self.target.write(f"{self.folder}/{path}", data, atomic=self.atomic)
        self.files[path] = checksum(data)


def with_files(miso: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``miso`` attributes of an image with the checksums of its files."""
    return {**miso, "files": dict(sorted(files.items()))}
