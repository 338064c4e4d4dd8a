"""A store in a folder on this machine or on a mounted disk."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from miso_gen.errors import OutputError
from miso_gen.store.target import attempt_id, write_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from miso_gen.store.target import RangeSource

_REMOVALS = 20  # tries at a folder that somebody else still fills


class LocalTarget:
    """A folder on this machine or on a mounted disk."""

    renames = True

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(Path(root).expanduser().absolute())
        self.url = self.root

    def __repr__(self) -> str:
        return f"LocalTarget({self.root!r})"

    def describe(self, path: str) -> str:
        """Return the full name of a file."""
        return f"{self.root}/{path}" if path else self.root

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return Path(self.describe(path)).read_bytes()

    def open(self, path: str) -> RangeSource:
        """Open a file for reading pieces of it."""
        return _LocalFile(self.describe(path))

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> None:
        """Write a file and the folders above it."""
        final = self.describe(path)
        name = f"{final}.tmp-{attempt_id()}" if atomic else final
        with write_errors(final):
            try:
                _write_file(name, data)
                if atomic:
                    os.replace(name, final)  # noqa: PTH105
            except OSError:
                if atomic:
                    Path(name).unlink(missing_ok=True)
                raise

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return os.path.lexists(self.describe(path))

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        try:
            found = os.stat(self.describe(path))  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly below a folder; none where it does not exist."""
        try:
            return sorted(os.listdir(self.describe(path)))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all below."""
        name = Path(self.describe(path))
        with write_errors(str(name)):
            if name.is_dir() and not name.is_symlink():
                _remove_folder(name)
            else:
                name.unlink(missing_ok=True)

    def rename(self, source: str, destination: str) -> None:
        """Move a folder in one step."""
        with write_errors(self.describe(destination)):
            try:
                os.rename(self.describe(source), self.describe(destination))  # noqa: PTH104
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise FileExistsError(errno.EEXIST, "exists already", self.describe(destination)) from None
                raise


class _LocalFile:
    _descriptor = -1  # of a file that could not be opened

    def __init__(self, name: str) -> None:
        self._descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.size = os.fstat(self._descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        # pread keeps no position, so forked processes and threads may share the descriptor.
        return os.pread(self._descriptor, length, start)

    def close(self, close: Callable[[int], None] = os.close) -> None:  # at exit the module may be gone before its files
        if self._descriptor >= 0:
            close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def _write_file(name: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(name, flags, 0o666)
    except FileNotFoundError:  # folders are rarer than files: make them when they turn out to be missing
        _make_folder(name.rpartition("/")[0])
        descriptor = os.open(name, flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _remove_folder(name: Path) -> None:
    """Remove a folder into which a process that has lost its build may still write."""
    for attempt in range(_REMOVALS):
        try:
            shutil.rmtree(name)
        except FileNotFoundError:
            if not name.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or attempt == _REMOVALS - 1:
                raise
        else:
            return


def _make_folder(name: str) -> None:
    """Make a folder and those above it; quicker than pathlib, which looks at each several times."""
    try:
        os.mkdir(name)  # noqa: PTH102
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = name.rpartition("/")[0]
        _make_folder(above)
        try:
            os.mkdir(name)  # noqa: PTH102
        except FileExistsError:
            pass
        except FileNotFoundError:  # the file system has the folder above, but takes none in it
            raise OutputError(f"{above} must be a place for folders, got one that takes none. Choose another place.") from None
