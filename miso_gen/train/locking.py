"""One process at a time trains a run."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from miso_gen.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK: Final = "run.lock"
_HELD: set[Path] = set()  # of this process


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a run, which is there.

    The system holds the lock and lets go of it when the process ends, however that ends: nothing is left to be cleared away.
    ``run.lock`` says who holds it. Where a file system knows no locks, nothing is held.

    Raises:
        OutputError: Another process holds it; the message names that process.
    """
    place = folder.resolve()
    if place in _HELD:  # locks are between processes, and a second file would let go of that of the first
        raise _taken_by(folder, "this process")
    file = _taken(folder)
    _HELD.add(place)
    try:
        file.seek(0)
        file.truncate()
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        file.flush()
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # while it is held: who takes this very file afterwards sees that it is gone
        file.close()
        _HELD.discard(place)


def _taken(folder: Path) -> IO[str]:
    """Return the locked file."""
    path = folder / LOCK
    while True:
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise OutputError(f"{folder} must be a folder that can be written, got {error.strerror}. Give another one.") from None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone: children that are forked don't have it
        except (BlockingIOError, PermissionError):
            holder = _holder(file)
            file.close()
            raise _taken_by(folder, holder) from None
        except OSError:  # no locks here
            return file
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()  # its holder has just removed it


def _taken_by(folder: Path, holder: str) -> OutputError:
    return OutputError(
        f"{folder} must be free to train in, got a training by {holder}. Wait for it, stop it, or choose another output."
    )


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.load(file)
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):  # it is just being written
        return "another process"
