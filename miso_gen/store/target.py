"""Where bytes go: a local folder, or any URL that fsspec knows, behind one small protocol.

Paths inside a target are relative, with ``/``. Locally a file or folder appears by one rename; object stores have no
rename, but an object appears whole or not at all.
"""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from miso_gen.errors import OutputError, SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class RangeSource(Protocol):
    """One file that can be read in pieces."""

    size: int  #: bytes

    def read(self, start: int, length: int) -> bytes:
        """Return ``length`` bytes from ``start``, fewer at the end."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Target(Protocol):
    """A folder of files. Missing files raise FileNotFoundError on reading."""

    url: str
    renames: bool  #: whether ``rename`` exists, so that folders can appear at once

    def describe(self, path: str) -> str:
        """Return the full name of a file, for messages."""
        ...

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        ...

    def open(self, path: str) -> RangeSource:
        """Open a file for reading pieces of it."""
        ...

    def write(self, path: str, data: bytes, *, atomic: bool = True) -> None:
        """Write a file and the folders above it.

        Args:
            path: The file, replaced if it exists.
            data: Its bytes.
            atomic: Make it appear whole or not at all; needless inside a folder that is renamed later.

        Raises:
            SpaceError: The disk is full.
            OutputError: The place can't be written.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder with files."""
        ...

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        ...

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly below a folder; none where it does not exist."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all below; nothing happens where there is none."""
        ...

    def rename(self, source: str, destination: str) -> None:
        """Move a folder in one step. Raises FileExistsError if the destination is there."""
        ...


def open_target(location: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Target:
    """Return the target of a path or URL; nothing is created or touched.

    Args:
        location: A local path, ``file://...``, or a URL such as ``s3://bucket/folder``, ``memory://name`` or
            ``https://host/folder``. What ends in ``.zip`` or ``.ozx`` and is no folder is an archive, only to read.
        options: Passed to the fsspec file system, for example ``{"endpoint_url": ...}``.

    Raises:
        MissingExtraError: The package for this kind of URL is not installed.
        OutputError: fsspec does not know the protocol.
    """
    text = os.fspath(location)
    from miso_gen.store.local import LocalTarget
    from miso_gen.store.url import UrlTarget, WebTarget
    from miso_gen.store.zip import ZipTarget, is_archive

    text = text.removeprefix("file://")
    archive = is_archive(text.rstrip("/"))
    if archive:
        text = text.rstrip("/")
    outer: Target
    if "://" not in text:
        outer = LocalTarget(text)
    else:
        outer = (WebTarget if text.startswith(("http://", "https://")) else UrlTarget)(text, options)
    return ZipTarget(outer) if archive else outer


def attempt_id() -> str:
    """Return a name part that no other attempt at the same work has."""
    return f"{os.getpid()}-{uuid.uuid4().hex[:8]}"


@contextmanager
def write_errors(name: str) -> Iterator[None]:
    """Turn what the system says about a write to ``name`` into SpaceError and OutputError."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                f"{name} must fit on its disk, got {error.strerror!r}. Free some space and try again: what is complete is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
            raise OutputError(
                f"{name} must be writable, got {error.strerror!r}. Choose another output or change its permissions."
            ) from error
        raise
