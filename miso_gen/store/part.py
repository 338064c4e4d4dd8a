"""The unfinished file of a fetch: ``<path>.part``, which is renamed when it is whole.

One fetch at a time holds the part; another waits for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from miso_gen.errors import OutputError
from miso_gen.store.target import attempt_id, write_errors

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

PART: Final = ".part"  #: ending of a file that is not there as a whole
BLOCK: Final = 1 << 22  #: bytes asked for at a time


class Waiting(Protocol):
    """Whoever wants to know that a fetch waits for another."""

    def waiting(self, path: str) -> None:
        """Another process fetches this file; this one waits for it."""


def require_folders(folder: Path, path: str, *, make: bool = False) -> None:
    """Check that what is there of the folders between ``folder`` and a file of it are folders; make those that are missing.

    Raises:
        OutputError: One is a link, which may lead anywhere, or a file.
    """
    for part in reversed((folder / path).relative_to(folder).parents[:-1]):
        place = folder / part
        if make:
            with write_errors(str(place)), suppress(FileExistsError):
                place.mkdir()
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            got = "a link" if stat.S_ISLNK(mode) else "a file"
            raise OutputError(f"{place} must be a folder, got {got}. Remove it, or choose another output.")


class Part:
    """The unfinished file; a context manager that holds it for this fetch alone.

    Where the file system has no locks the part has a name of its own, and is not gone on with.

    Attributes:
        size: Bytes that are there.
        waited: Whether another fetch held it before.

    Args:
        folder: Where the file is to be.
        path: The file.
        watcher: Hears of waiting.
    """

    def __init__(self, folder: Path, path: str, watcher: Waiting) -> None:
        self._folder, self._path, self._watcher = folder, path, watcher
        self._final = folder / path
        self._name = folder / f"{path}{PART}"
        self._shared, self._finished, self._descriptor = True, False, -1
        self._hash = hashlib.sha256()
        self.size, self.waited = 0, False

    def __enter__(self) -> Self:
        require_folders(self._folder, self._path, make=True)
        with write_errors(str(self._name)):
            while not self._take():
                pass
            try:
                self._resume()
            except BaseException:
                os.close(self._descriptor)
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if not self._finished and (self.size == 0 or not self._shared):
                self._name.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)  # lets go of the lock, after the name is gone

    def add(self, data: bytes) -> None:
        """See :class:`~miso_gen.store.download.Sink`."""
        rest = memoryview(data)
        with write_errors(str(self._final)):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._hash.update(data)
        self.size += len(data)

    def empty(self) -> None:
        """See :class:`~miso_gen.store.download.Sink`."""
        with write_errors(str(self._final)):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.ftruncate(self._descriptor, 0)
        self._hash = hashlib.sha256()
        self.size = 0

    def sha256(self) -> str:
        """Return the hash of the bytes that are there."""
        return self._hash.hexdigest()

    def finish(self) -> None:
        """Give the file its name."""
        with write_errors(str(self._final)):
            self._name.replace(self._final)
        self._finished = True

    def _take(self) -> bool:
        """Open the part and lock it; False where it is another one by then."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(self._name, flags, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OutputError(f"{self._name} must be a file, got a link. Remove it.") from None
            raise
        try:
            self._lock()
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OutputError(f"{self._name} must be a file, got something else. Remove it.")
            try:
                same = os.path.samestat(found, self._name.lstat())
            except FileNotFoundError:  # finished by the one that was waited for
                same = False
        except BaseException:
            os.close(self._descriptor)
            raise
        if not same:
            os.close(self._descriptor)
        return same

    def _lock(self) -> None:
        if not self._shared:
            return
        try:
            try:
                _flock(self._descriptor, wait=False)
            except BlockingIOError:
                self.waited = True
                self._watcher.waiting(self._path)
                _flock(self._descriptor, wait=True)
        except OSError:  # no locks here
            own = self._name.with_name(f"{self._name.name}-{attempt_id()}")
            descriptor = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            if os.fstat(self._descriptor).st_size == 0:
                self._name.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._shared, self._name, self._descriptor = False, own, descriptor

    def _resume(self) -> None:
        while data := os.read(self._descriptor, BLOCK):
            self._hash.update(data)
            self.size += len(data)


def _flock(descriptor: int, *, wait: bool) -> None:
    if fcntl is None:
        raise OSError("no locks on this system")
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
