"""The folder of an export: files appear whole, and until the last one is there it says that it is unfinished.

::

    out/
      UNFINISHED/            gone when the export is whole
        export.json          what is exported; an export of anything else is refused
        journal.jsonl        a line for each image that is there, with its files
        pieces/              what becomes part of larger files
        tmp/                 files that are being written
      ...                    the files of the format
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final

from miso_gen.errors import InputError, OutputError, SpaceError, listing
from miso_gen.store import metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

UNFINISHED: Final = "UNFINISHED"  #: folder that marks an export that has not finished
_HEAD, _JOURNAL, _PIECES, _TEMPORARY = "export.json", "journal.jsonl", "pieces", "tmp"


class ExportFolder:
    """The folder that an export is written to; a context manager, which holds it for one process.

    Args:
        path: The folder; made where it is missing.
        head: What is exported, as plain data.

    Raises:
        OutputError: On entering: the place holds something else, can't be written, or another process exports to it.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path, self._head = path, metadata.canonical(head)
        self.sizes: dict[str, int] = {}  #: bytes of each finished file and piece, by path
        self.notes: set[str] = set()  #: what was noted of images
        self.images: set[str] = set()  #: ids of the images that are there
        self._lock, self._held, self._temporaries = Lock(), -1, 0

    def __enter__(self) -> Self:
        with disk_errors(self.path):
            self._open()
        try:
            self._hold()
            with disk_errors(self.path):
                shutil.rmtree(self._inner(_TEMPORARY), ignore_errors=True)
                self._inner(_TEMPORARY).mkdir()
            self._read_journal()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    # --- files --------------------------------------------------------------------------------------------------------

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file to write; it appears under its name when the block ends without an error.

        Raises:
            InputError: The path leaves the folder.
            SpaceError: The disk is full.
            OutputError: The place can't be written.
        """
        with self._writing(checked(path), self.path / path) as file:
            yield file
        self._note({"files": {path: self.sizes[path]}})

    def has(self, path: str) -> bool:
        """Whether a file of this path was finished, now or before the export was stopped."""
        return self._is_there(path, self.sizes.get(path))

    def piece(self, path: str) -> Path:
        """Return where a piece lies that :meth:`ImageFiles.piece` wrote."""
        return self._inner(_PIECES) / path

    def drop_pieces(self, paths: Iterable[str]) -> None:
        """Remove pieces that have become part of a file."""
        for path in paths:
            self.piece(path).unlink(missing_ok=True)

    def add_image(self, image_id: str, files: ImageFiles) -> None:
        """Note that an image is there; called by the thread that wrote it."""
        self._note({"image": image_id, "files": files.sizes, "notes": sorted(files.notes)})

    def finish(self) -> None:
        """Say that the export is whole."""
        with disk_errors(self.path):
            for name in (_TEMPORARY, _PIECES):
                shutil.rmtree(self._inner(name), ignore_errors=True)
            self._inner(_JOURNAL).unlink(missing_ok=True)
            self._inner(_HEAD).unlink()
            self._inner("").rmdir()

    @property
    def written(self) -> dict[str, int]:
        """Bytes of the finished files by path, without pieces."""
        return {path: size for path, size in self.sizes.items() if not path.startswith(f"{UNFINISHED}/")}

    # --- inside -------------------------------------------------------------------------------------------------------

    def _inner(self, name: str) -> Path:
        return self.path / UNFINISHED / name

    @contextmanager
    def _writing(self, key: str, final: Path) -> Iterator[IO[bytes]]:
        with self._lock:
            self._temporaries += 1
            temporary = self._inner(_TEMPORARY) / str(self._temporaries)
        with disk_errors(final):
            try:
                with temporary.open("w+b") as file:
                    yield file
                    file.flush()
                    size = os.fstat(file.fileno()).st_size
                final.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(final)
            finally:
                temporary.unlink(missing_ok=True)
        self.sizes[key] = size

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        names = sorted(entry.name for entry in self.path.iterdir())
        if not names:
            self._inner("").mkdir()
            temporary = self._inner(f"{_HEAD}.tmp")
            temporary.write_bytes(self._head)
            temporary.replace(self._inner(_HEAD))
            return
        if UNFINISHED not in names:
            raise OutputError(
                f"{self.path} must be new or empty, got a folder with {listing(names, 3)}. Choose another place, or empty it."
            )
        try:
            head = self._inner(_HEAD).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            head = b""
        if head != self._head:
            raise OutputError(
                f"{self.path} must be new, empty, or an unfinished export of the same images to the same format, got "
                f"{_difference(head, self._head)}. Choose another place, or empty it."
            )

    def _hold(self) -> None:
        # The system lets go of it when the process ends in any way.
        self._held = os.open(self._inner(_HEAD), os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{self.path} must be free to write, got another export to it. Wait for it, or stop it.") from None

    def _release(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _note(self, entry: Mapping[str, Any]) -> None:
        with self._lock, disk_errors(self._inner(_JOURNAL)):
            with self._inner(_JOURNAL).open("ab") as file:
                file.write(_line(entry))
            self._take(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        self.sizes.update(entry["files"])
        self.notes.update(entry.get("notes", ()))
        if "image" in entry:
            self.images.add(entry["image"])

    def _read_journal(self) -> None:
        """Take what is there; a line that was cut, or whose files are gone, counts for nothing."""
        try:
            lines = self._inner(_JOURNAL).read_bytes().splitlines()
        except FileNotFoundError:
            return
        entries = [entry for entry in map(_parsed, lines) if entry]
        joined: set[str] = set()
        for entry in entries:
            if self._are_there(entry["files"]):
                joined.update(entry.get("joined", ()))
        for entry in entries:
            if self._are_there({path: size for path, size in entry["files"].items() if path not in joined}):
                self._take(entry)
        with disk_errors(self._inner(_JOURNAL)):  # without a cut line, to which the next would be added
            self._inner(_JOURNAL).write_bytes(b"".join(_line(entry) for entry in entries))

    def note_joined(self, path: str, pieces: Iterable[str]) -> None:
        """Note that pieces are part of a finished file, and remove them."""
        names = [f"{UNFINISHED}/{_PIECES}/{piece}" for piece in pieces]
        self._note({"files": {path: self.sizes[path]}, "joined": names})
        self.drop_pieces(name.removeprefix(f"{UNFINISHED}/{_PIECES}/") for name in names)

    def _are_there(self, sizes: Mapping[str, int]) -> bool:
        return all(self._is_there(path, size) for path, size in sizes.items())

    def _is_there(self, path: str, size: int | None) -> bool:
        try:
            return size is not None and (self.path / path).stat().st_size == size
        except (FileNotFoundError, NotADirectoryError):
            return False


class ImageFiles:
    """Writes the files of one image.

    Args:
        folder: The export.
    """

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder
        self.sizes: dict[str, int] = {}  #: bytes of each file and piece, by path
        self.notes: set[str] = set()  #: what is to be said of the export, a sentence each

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file to write and read; see :meth:`ExportFolder.open`."""
        with self._folder._writing(checked(path), self._folder.path / path) as file:
            yield file
        self.sizes[path] = self._folder.sizes[path]

    @contextmanager
    def piece(self, path: str) -> Iterator[IO[bytes]]:
        """Open a piece to write and read: a file that :meth:`ExportFormat.finish` makes part of another."""
        key = f"{UNFINISHED}/{_PIECES}/{checked(path)}"
        with self._folder._writing(key, self._folder.piece(path)) as file:
            yield file
        self.sizes[key] = self._folder.sizes[key]


def piece_size(folder: ExportFolder, path: str) -> int:
    """Return the bytes that a piece has, or had before it became part of a file."""
    return folder.sizes[f"{UNFINISHED}/{_PIECES}/{path}"]


def checked(path: str) -> str:
    """Return a relative path that stays below its folder.

    Raises:
        InputError: It does not: an image id was made by somebody else.
    """
    parts = path.split("/")
    bad = any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts)
    if bad or parts[0] == UNFINISHED or PurePosixPath(path).is_absolute() or ":" in parts[0]:
        raise InputError(
            f"the file of an image must be a path below the export, got {path!r}. Build the store with plain image ids."
        )
    return path


@contextmanager
def disk_errors(name: Path) -> Iterator[None]:
    """Turn what the system says about a write into SpaceError and OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                f"{name} must fit on its disk, got {error.strerror!r}. Free some space and export again: what is there is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            raise OutputError(
                f"{name} must be writable, got {error.strerror!r}. Choose another place or change its permissions."
            ) from error
        raise


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("files"), dict) else None


def _difference(found: bytes, wanted: bytes) -> str:
    """Return how two heads differ, for people."""
    try:
        one, other = json.loads(found), json.loads(wanted)
        keys = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    except (ValueError, AttributeError):
        return f"a folder {UNFINISHED} of something else"
    return f"one of another {listing(keys, 4)}"
