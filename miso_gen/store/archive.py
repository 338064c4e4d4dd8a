"""The directory of a zip archive that holds a store, and the bytes of its entries, read in place."""

from __future__ import annotations

import io
import os
import struct
import zlib
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from miso_gen.errors import CorruptStoreError, StoreError, listing

if TYPE_CHECKING:
    from miso_gen.store.target import RangeSource, Target

ROOT = "images.zarr/zarr.json"  #: says where in an archive a store begins
_HEADER = struct.Struct("<4s22xHH")  # of an entry, before its name: magic, bytes of the name, bytes of extra fields
_LONGEST = 1 << 16  # bytes that a name or an extra field stays below
_TAIL = 1 << 18  # bytes read at once where the directory is looked for
_RATIO = 1032  # deflate makes no entry smaller than this share
_AGAIN = "Fetch it again, or zip the store again."


class Entry(NamedTuple):
    """Where a file lies in the archive.

    Attributes:
        offset: Of its header.
        end: Nothing of it lies from here on.
        packed: Its bytes in the archive.
        size: Its bytes.
        deflated: Whether it must be inflated.
        crc: CRC-32 of its bytes.
    """

    offset: int
    end: int
    packed: int
    size: int
    deflated: bool
    crc: int


class Archive:
    """An archive that was opened: what is where in it.

    Args:
        outer: The archive, as a target whose path ``""`` is that file.
        root: File that lies where the store begins; without a folder, it must lie at the root of the archive.

    Attributes:
        source: The bytes of the archive.
        prefix: Folder of the archive in which the store is, with ``/``; nothing at its root.
        entries: The files of the store by path.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It can't be read, is encrypted or compressed in another way, or holds no store or several.
        CorruptStoreError: It is no zip, or was cut off or edited.
    """

    def __init__(self, outer: Target, root: str = ROOT) -> None:
        self.root = root
        self.name = outer.describe("")
        try:
            self.source = outer.open("")
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise StoreError(f"{self.name} must be readable, got {error.strerror or error}. Change its permissions.") from error
        infos, directory = self._directory()
        self._require_readable(infos)
        self.prefix = self._find_store(infos)
        offsets = [*sorted(info.header_offset for info in infos.values()), directory]
        ends = dict(pairwise(offsets))
        self.entries = {
            name.removeprefix(self.prefix): self._entry_of(info, ends[info.header_offset])
            for name, info in infos.items()
            if name.startswith(self.prefix)
        }
        self._starts: dict[str, int] = {}

    @cached_property
    def folders(self) -> dict[str, set[str]]:
        """What is directly below every folder."""
        found: dict[str, set[str]] = {"": set()}
        for path in self.entries:
            while path:
                path, _, name = path.rpartition("/")
                below = found.setdefault(path, set())
                if name in below:
                    break
                below.add(name)
        return found

    def entry(self, path: str) -> Entry:
        """Return where a file is, or raise FileNotFoundError."""
        try:
            return self.entries[path]
        except KeyError:
            raise FileNotFoundError(f"{self.name}/{self.prefix}{path}") from None

    def start(self, path: str) -> int:
        """Return where the bytes of a file begin."""
        start = self._starts.get(path)
        if start is None:
            entry = self.entry(path)
            head = self.source.read(entry.offset, _HEADER.size)
            start = self._starts[path] = entry.offset + self._after_header(head, path)
            if start + entry.packed > entry.end:
                raise self._broken(path, "an entry that runs into the next")
        return start

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, after its checksum was compared."""
        entry = self.entry(path)
        longest = _HEADER.size + 2 * _LONGEST + entry.packed
        raw = self.source.read(entry.offset, min(longest, entry.end - entry.offset))  # header and bytes in one request
        start = self._after_header(raw, path)
        data = raw[start : start + entry.packed]
        if len(data) != entry.packed:
            raise self._broken(path, f"{len(data)} of {entry.packed} bytes")
        if entry.deflated:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, entry.size + 1)
            except zlib.error as error:
                raise self._broken(path, str(error)) from error
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise self._broken(path, "other bytes than its checksum says")
        return data

    def _directory(self) -> tuple[dict[str, ZipInfo], int]:
        """Return all files by name, the last one of a name, and where the central directory begins."""
        try:
            with ZipFile(_SeekableTail(self.source)) as file:
                infos = {info.filename.removeprefix("./"): info for info in file.infolist() if not info.is_dir()}
                return infos, file.start_dir
        except (BadZipFile, NotImplementedError, ValueError, struct.error, OSError, EOFError) as error:
            raise CorruptStoreError(
                f"{self.name} must be a zip archive, got a file that can't be read as one ({error}). "
                f"It was cut off, or is something else. {_AGAIN}"
            ) from error

    def _require_readable(self, infos: dict[str, ZipInfo]) -> None:
        for name, info in infos.items():
            if info.flag_bits & 1:
                raise StoreError(f"{self.name} must be a plain zip archive, got {name!r} encrypted. Unpack it with its password.")
            if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise StoreError(
                    f"{self.name} must hold files stored or deflated, got {name!r} compressed by method {info.compress_type}. "
                    "Unpack it, and zip it again with: zip -0 -r"
                )

    def _find_store(self, infos: dict[str, ZipInfo]) -> str:
        """Return what the paths of the store begin with."""
        found = sorted(name.removesuffix(self.root) for name in infos if name == self.root or name.endswith(f"/{self.root}"))
        if "" in found:
            return ""
        if not found:
            got = "one of images.zarr alone" if "zarr.json" in infos else "one of something else"
            raise StoreError(
                f"{self.name} must be the zip archive of a miso-gen store, got {got}. "
                "Zip the whole folder of a store with: zip -0 -r"
            )
        if len(found) > 1:
            names = listing([name.rstrip("/") for name in found], 5)
            raise StoreError(f"{self.name} must hold one store, got {len(found)}: {names}. Unpack it, and open one of them.")
        return found[0]

    def _entry_of(self, info: ZipInfo, end: int) -> Entry:
        deflated, packed, size = info.compress_type == ZIP_DEFLATED, info.compress_size, info.file_size
        possible = size <= _RATIO * packed + _RATIO if deflated else size == packed
        if info.header_offset < 0 or info.header_offset + _HEADER.size + packed > end or not possible:
            raise self._broken(info.filename.removeprefix(self.prefix), "sizes that can't be")
        return Entry(info.header_offset, end, packed, size, deflated, info.CRC)

    def _after_header(self, head: bytes, path: str) -> int:
        """Return how many bytes the header of an entry takes."""
        if len(head) < _HEADER.size:
            raise self._broken(path, "an entry that is cut off")
        magic, name, extra = _HEADER.unpack_from(head)
        if magic != b"PK\x03\x04":
            raise self._broken(path, "no entry where the directory says")
        return _HEADER.size + int(name) + int(extra)

    def _broken(self, path: str, got: str) -> CorruptStoreError:
        return CorruptStoreError(
            f"{self.name}/{self.prefix}{path} must be as the archive's directory says, got {got}. "
            f"The archive was cut off or edited. {_AGAIN}"
        )


class _SeekableTail(io.RawIOBase):
    """An archive as ``zipfile`` wants it; its end, where the directory lies, is read in one go."""

    def __init__(self, source: RangeSource) -> None:
        self._source, self._place = source, 0
        self._from = max(0, source.size - _TAIL)
        self._tail = source.read(self._from, source.size - self._from)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise OSError("seek before the start")  # as zipfile expects of a file that is too short
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._source.size - self._place))
        if self._place >= self._from:
            data = self._tail[self._place - self._from :][:length]
        else:
            data = self._source.read(self._place, length)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
