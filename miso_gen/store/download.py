"""One file from a source to a folder: resumed, hashed while it comes, and there only when it is right."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING, Final, Protocol

from miso_gen.errors import CorruptStoreError
from miso_gen.store.manifest import FileEntry
from miso_gen.store.part import BLOCK, Part, require_folders
from miso_gen.store.streams import TransferError, UnreachableError
from miso_gen.store.target import write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from miso_gen.store.streams import ReleaseSource, Stream

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
        UnreachableError: The source could not be reached, not even after a while.
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
        StoreError: The source can't be read.
        CorruptStoreError: The file has more than ``longest`` bytes.
        UnreachableError: The source could not be reached, not even after a while.
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
        What else to know if the bytes are wrong; see :class:`~miso_gen.store.streams.Stream`.

    Raises:
        FileNotFoundError: The source has no such file.
        StoreError: It can't be read.
        UnreachableError: It could not be reached, not even after a while.
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
                raise UnreachableError(
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
