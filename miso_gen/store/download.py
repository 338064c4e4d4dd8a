"""One file from a source to a folder: resumed, hashed while it comes, and there only when it is right.

A file grows as ``<path>.part`` and is renamed at the end. One fetch at a time holds the part; another waits for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from miso_gen.errors import CorruptStoreError, OutputError, StoreError
from miso_gen.store.manifest import FileEntry
from miso_gen.store.sources import TransferError
from miso_gen.store.target import attempt_id, write_errors

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import TracebackType
    from typing import Self

    from miso_gen.store.sources import ReleaseSource, Stream

PART: Final = ".part"  #: ending of a file that is not there as a whole
BLOCK: Final = 1 << 22  #: bytes asked for at a time
RETRIES: Final = 5  #: in a row without a new byte
_LONGEST_WAIT_S = 60.0


class Watcher(Protocol):
    """Whoever wants to know how a fetch goes."""

    def start(self, files: int, size: int) -> None:
        """So many files of so many bytes are to be there in the end."""

    def progress(self, path: str, size: int) -> None:
        """So many bytes of a file are there; fewer than before where it had to be begun again."""

    def waiting(self, path: str) -> None:
        """Another process fetches this file; this one waits for it."""

    def retrying(self, path: str, reason: str, wait: float) -> None:
        """A transfer stopped; it is tried again after ``wait`` seconds."""


class Sink(Protocol):
    """Where the bytes of a file go."""

    @property
    def size(self) -> int:
        """Bytes that it has."""
        ...

    def add(self, data: bytes) -> None:
        """Take more bytes."""

    def empty(self) -> None:
        """Forget all bytes."""


def is_there(folder: Path, path: str, wanted: Sequence[FileEntry]) -> bool:
    """Whether a folder holds one of the wanted files; it is read.

    Raises:
        OutputError: A folder on the way is a link or a file.
    """
    name = folder / path
    require_folders(folder, path)
    with write_errors(str(name)):
        try:
            found = name.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size not in {entry.size for entry in wanted}:
            return False
        with name.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(found.st_size, digest) in wanted


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


def download(
    source: ReleaseSource,
    path: str,
    wanted: Sequence[FileEntry],
    folder: Path,
    *,
    watcher: Watcher,
    sleep: Callable[[float], None],
) -> bool:
    """Bring a file to a folder; what an earlier attempt left is gone on with.

    Args:
        source: Where it comes from.
        path: The file, in the source and in the folder.
        wanted: What it may be.
        folder: Where to; it exists.
        watcher: Hears of the progress.
        sleep: Waits a number of seconds between attempts.

    Returns:
        False where another process brought it meanwhile.

    Raises:
        CorruptStoreError: The source has no such file, or twice another one.
        StoreError: The source can't be read.
        OutputError: The folder can't be written.
        SpaceError: The disk is full.
    """
    sizes = {entry.size for entry in wanted}
    longest = max(sizes)
    with Part(folder, path, watcher) as part:
        if part.waited and is_there(folder, path, wanted):
            return False
        got = ""
        for _ in range(2):
            note = ""
            try:
                if FileEntry(part.size, part.sha256()) not in wanted:  # it may be whole already
                    note = fill(source, path, part, sizes, longest, watcher=watcher, sleep=sleep)
            except FileNotFoundError:
                raise CorruptStoreError(
                    f"{source.describe(path)} must exist, got no such file. Fetch from another place."
                ) from None
            except _WrongSizeError as error:
                got = str(error)
            else:
                found = FileEntry(part.size, part.sha256())
                if found in wanted:
                    part.finish()
                    watcher.progress(path, found.size)
                    return True
                got = f"{found.size} bytes with sha256 {found.sha256}.{note}"
            part.empty()
    expected = " or ".join(f"{entry.size} bytes with sha256 {entry.sha256}" for entry in wanted)
    raise CorruptStoreError(
        f"{source.describe(path)} must have {expected}, got {got} Fetch from another place, or try again later."
    )


def fetch_text(
    source: ReleaseSource, path: str, longest: int, *, watcher: Watcher, sleep: Callable[[float], None]
) -> bytes | None:
    """Return the bytes of a file that nobody vouches for, None where there is none.

    Raises:
        StoreError: The source can't be read, or the file has more than ``longest`` bytes.
    """
    memory = _Memory()
    try:
        fill(source, path, memory, range(longest + 1), longest, watcher=watcher, sleep=sleep)
    except FileNotFoundError:
        return None
    except _WrongSizeError as error:
        raise CorruptStoreError(
            f"{source.describe(path)} must have at most {longest} bytes, got {error} Do not use it."
        ) from None
    return bytes(memory.data)


def fill(
    source: ReleaseSource,
    path: str,
    sink: Sink,
    sizes: Collection[int],
    longest: int,
    *,
    watcher: Watcher,
    sleep: Callable[[float], None],
) -> str:
    """Go on with a file up to its end; no byte is read after the longest it may be but one, to see whether there is one.

    Args:
        source: Where it comes from.
        path: The file.
        sink: What there is of it.
        sizes: The sizes that it may have.
        longest: The greatest of them.
        watcher: Hears of the progress.
        sleep: Waits a number of seconds between attempts.

    Returns:
        What else to know if the bytes are wrong; see :class:`~miso_gen.store.sources.Stream`.

    Raises:
        FileNotFoundError: The source has no such file.
        StoreError: It can't be read, not even after a while.
    """
    if sink.size >= longest:
        sink.empty()
    tag: str | None = None
    best, failures = sink.size, 0
    while True:
        try:
            with source.open(path, sink.size, tag) as stream:
                tag = stream.tag
                _pour(stream, sink, sizes, longest, lambda: watcher.progress(path, sink.size))
                return stream.note
        except TransferError as error:
            if sink.size > best:
                best, failures = sink.size, 0
            failures += 1
            if failures > RETRIES:
                raise StoreError(
                    f"{source.describe(path)} must be reachable, got {error}. Try again later: what has come is kept."
                ) from None
            wait = min(2.0 ** (failures - 1), _LONGEST_WAIT_S) if error.wait is None else error.wait
            watcher.retrying(path, str(error), wait)
            sleep(wait)


def _pour(stream: Stream, sink: Sink, sizes: Collection[int], longest: int, told: Callable[[], None]) -> None:
    """Move what a stream has into a file; whether it is the right file is not looked at.

    Raises:
        TransferError: It ended before its end.
        _WrongSizeError: It is longer or shorter than the file can be.
    """
    if stream.total is not None and stream.total not in sizes:
        raise _WrongSizeError(f"{stream.total} bytes.{stream.note}")
    if stream.start != sink.size:
        sink.empty()
    end = longest if stream.total is None else stream.total
    while sink.size < end:
        data = stream.read(min(BLOCK, end - sink.size))
        if not data:
            # Without a total an end is an end, unless no file ends there.
            if stream.total is None and sink.size in sizes:
                return
            raise TransferError(f"an end after {sink.size} of {end} bytes")
        sink.add(data)
        told()
    if stream.total is None and stream.read(1):
        raise _WrongSizeError(f"more than {longest} bytes.{stream.note}")


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

    def __init__(self, folder: Path, path: str, watcher: Watcher) -> None:
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
        """See :class:`Sink`."""
        rest = memoryview(data)
        with write_errors(str(self._final)):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._hash.update(data)
        self.size += len(data)

    def empty(self) -> None:
        """See :class:`Sink`."""
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


class _Memory:
    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    def add(self, data: bytes) -> None:
        self.data += data

    def empty(self) -> None:
        self.data.clear()


class _WrongSizeError(Exception):
    """The file of a source has another size than it may have; the message says which."""


def _flock(descriptor: int, *, wait: bool) -> None:
    if fcntl is None:
        raise OSError("no locks on this system")
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
