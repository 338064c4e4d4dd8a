"""The files of a release folder, each read once and compared with its manifest before anything is sent."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, listing
from miso_gen.release.publishing.interfaces import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from miso_gen.release.publication import PublicationRecord
    from miso_gen.store.local import LocalTarget
    from miso_gen.store.manifest import FileEntry, Manifest

BLOCK = 1 << 20  #: bytes that are read at a time


def complete_files(
    folder: LocalTarget, manifest: Manifest, record: PublicationRecord | None, digests: tuple[str, ...] = ()
) -> dict[str, Upload]:
    """Return the files that a manifest lists, by path in sorted order; every byte of them is read.

    Args:
        folder: The release.
        manifest: Its manifest.
        record: Where it was published before: a text may also be as it was published then.
        digests: Of ``md5`` and ``git``, what to compute besides sha256.

    Raises:
        IncompleteStoreError: Files are missing.
        CorruptStoreError: A file has another size or sha256, or a path leads out of the folder.
    """
    for path in manifest.files:
        _check_path(folder, path)
    missing = [path for path in sorted(manifest.files) if folder.size(path) is None]
    if missing:
        raise IncompleteStoreError(
            f"{folder.url} must have all files of its manifest, got none of {listing(missing, 5)}. "
            "Make the release again, or fetch it."
        )
    published = record.files if record else {}
    files = {}
    for path, entry in sorted(manifest.files.items()):
        found = upload_of(path, Path(folder.describe(path)), digests)
        if (found.size, found.sha256) not in (entry, published.get(path)):
            raise CorruptStoreError(
                f"{folder.describe(path)} must have {entry.size} bytes with sha256 {entry.sha256}, got {found.size} bytes with "
                f"{found.sha256}. Make the release again, or fetch it."
            )
        files[path] = found
    return files


def upload_of(path: str, content: Path | bytes, digests: Iterable[str]) -> Upload:
    """Return a file with its digests; it is read once, a piece at a time."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    sums = {"sha256": hashlib.sha256()}
    if "md5" in digests:
        sums["md5"] = hashlib.md5(usedforsecurity=False)
    if "git" in digests:
        sums["git"] = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    length = 0
    with Upload(path, size, "", content).open() as file:
        while block := file.read(BLOCK):
            length += len(block)
            for digest in sums.values():
                digest.update(block)
    return Upload(path, length, content=content, **{name: digest.hexdigest() for name, digest in sums.items()})


def published_entries(texts: Mapping[str, Upload]) -> dict[str, FileEntry]:
    """Return what a record says of the texts that were written again."""
    from miso_gen.store.manifest import FileEntry

    return {path: FileEntry(text.size, text.sha256) for path, text in sorted(texts.items())}


def _check_path(folder: LocalTarget, path: str) -> None:
    pure = PurePosixPath(path)
    if not path or "\\" in path or pure.is_absolute() or str(pure) != path or ".." in pure.parts or path == ".":
        raise CorruptStoreError(
            f"paths in the manifest of {folder.url} must stay in its folder, got {path!r}. Make the release again, or fetch it."
        )
