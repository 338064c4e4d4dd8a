"""One process at a time trains a run."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from miso_gen.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK: Final = "run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a run, which is there.

    The system holds the lock and lets go of it when the process ends, however that ends: nothing is left to be cleared away.
    ``run.lock`` says who holds it. Where a file system knows no locks, nothing is held.

    Raises:
        OutputError: Another process holds it; the message names that process.
    """
    file = _taken(folder)
    try:
        file.seek(0)
        file.truncate()
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        file.flush()
        yield
        (folder / LOCK).unlink(missing_ok=True)  # while it is held: whoever waits for this file sees that it is gone
    finally:
        file.close()


def _taken(folder: Path) -> IO[str]:
    """Return the locked file."""
    path = folder / LOCK
    while True:
        file = path.open("a+", encoding="ascii")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone: children that are forked don't have it
        except (BlockingIOError, PermissionError):
            holder = _holder(file)
            file.close()
            raise OutputError(
                f"{folder} must be free to train in, got a training by {holder}. Wait for it, stop it, or choose another output."
            ) from None
        except OSError:  # no locks here
            return file
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()  # its holder has just removed it


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.load(file)
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):  # it is just being written
        return "another process"
