"""A store in a zip archive, read in place: on this machine, or behind any URL.

The central directory is read once. Entries that are stored as they are, as ``zip -0`` does, are read by ranges out of the
archive itself; deflated ones are inflated whole, and the last of them are kept.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NoReturn

from miso_gen.errors import OutputError
from miso_gen.store.archive import ROOT, Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from miso_gen.store.target import RangeSource, Target

SUFFIXES: Final = (".zip", ".ozx")  #: of archives; .ozx is an OME-Zarr in a zip
_INFLATED = 1 << 26  # bytes of inflated entries kept


def is_archive(location: str) -> bool:
    """Return whether a path or URL names an archive; a folder does not, whatever it is called."""
    if "://" not in location:
        return location.lower().endswith(SUFFIXES) and not Path(location).expanduser().is_dir()
    place = location.partition("?")[0] if location.startswith(("http://", "https://")) else location
    return place.lower().endswith(SUFFIXES) and not location.startswith("zip:")  # zip:// is fsspec's own way to look inside


class ZipTarget:
    """The store in a zip archive: at its root, or in one folder of it. Only to read. Pickles; safe after fork and spawn.

    Args:
        outer: The archive itself, as a target whose path ``""`` is that file; not touched before something is asked for.
        root: File that lies where the store begins.

    Reading raises:
        FileNotFoundError: There is no archive, or no such file in it.
        StoreError: The archive can't be read, is encrypted or compressed in another way, or holds no store or several.
        CorruptStoreError: It is no zip, or was cut off or edited.
    """

    renames = False

    def __init__(self, outer: Target, root: str = ROOT) -> None:
        self.outer, self.root, self.url = outer, root, outer.url
        self._opened: Archive | None = None
        self._inflated = _Kept(_INFLATED)

    def __repr__(self) -> str:
        return f"ZipTarget({self.outer!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"outer": self.outer, "root": self.root, "url": self.url, "_opened": None, "_inflated": _Kept(_INFLATED)}

    @property
    def _archive(self) -> Archive:
        if self._opened is None:
            self._opened = Archive(self.outer, self.root)
        return self._opened

    def describe(self, path: str) -> str:
        """Return the full name of a file: the archive, then the place in it."""
        prefix = self._opened.prefix if self._opened else ""
        name = self.outer.describe("")
        return f"{name}/{prefix}{path}" if path else name

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return self._archive.read(path)

    def open(self, path: str) -> RangeSource:
        """Open a file for reading pieces of it."""
        archive = self._archive
        entry = archive.entry(path)
        if not entry.deflated:
            return _Stored(archive.source, archive.start(path), entry.size)
        return _Inflated(lambda: self._inflated.get(path, lambda: archive.read(path)), entry.size)

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder with files."""
        try:
            archive = self._archive
        except (FileNotFoundError, NotADirectoryError):
            return False
        return not path or path in archive.entries or path in archive.folders

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        try:
            entry = self._archive.entries.get(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if entry is None else entry.size

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly below a folder; none where it does not exist."""
        try:
            return sorted(self._archive.folders.get(path, ()))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> NoReturn:
        """Archives are not written to."""
        self._refuse()

    def remove(self, path: str) -> NoReturn:
        """Archives are not written to."""
        self._refuse()

    def rename(self, source: str, destination: str) -> NoReturn:
        """Archives are not written to."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OutputError(
            f"output must be a folder or a URL of one, got the zip archive {self.outer.describe('')}, which can only be read. "
            "Build into a folder, and zip it afterwards."
        )


class _Stored:
    """An entry that lies in the archive as it is."""

    def __init__(self, source: RangeSource, start: int, size: int) -> None:
        self._source, self._start, self.size = source, start, size

    def read(self, start: int, length: int) -> bytes:
        length = min(length, self.size - start)  # behind the entry others begin
        return self._source.read(self._start + start, length) if length > 0 else b""

    def close(self) -> None:
        """The archive stays open."""


class _Inflated:
    """An entry that must be inflated; its bytes are held by the archive, so that many open entries cost nothing."""

    def __init__(self, inflate: Callable[[], bytes], size: int) -> None:
        self._inflate, self.size = inflate, size

    def read(self, start: int, length: int) -> bytes:
        return self._inflate()[start : start + length]

    def close(self) -> None:
        """Nothing is held."""


class _Kept:
    """The entries that were inflated last, at least one, up to a limit of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._start()

    def __reduce__(self) -> tuple[type[_Kept], tuple[int]]:
        return type(self), (self.limit,)

    def _start(self) -> None:
        self._pid, self._lock, self._held = os.getpid(), Lock(), 0
        self._data: OrderedDict[str, bytes] = OrderedDict()

    def get(self, path: str, inflate: Callable[[], bytes]) -> bytes:
        """Return what was inflated before, or inflate it."""
        if self._pid != os.getpid():  # a fork copies a lock that another thread may have held
            self._start()
        with self._lock:
            data = self._data.get(path)
            if data is not None:
                self._data.move_to_end(path)
                return data
        data = inflate()
        with self._lock:
            if path not in self._data:  # another thread may have been faster
                self._data[path] = data
                self._held += len(data)
            while len(self._data) > 1 and self._held > self.limit:
                self._held -= len(self._data.popitem(last=False)[1])
        return data
