"""What a source of files is: it opens each as a stream of bytes, and says what went wrong without giving a secret away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from miso_gen.errors import StoreError, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class TransferError(Exception):
    """A transfer stopped, and may go on when it is tried again.

    Attributes:
        wait: Seconds after which the server wants to be asked again; None: it did not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class UnreachableError(WorkError):
    """A source that could not be read, not even after a while: the network, or its server, may be better later."""


class ClosedError(StoreError):
    """A file that the server does not show: it may be there or not."""


@dataclass
class Stream:
    """Bytes of a file, from ``start`` on; a context manager that lets go of them.

    Attributes:
        start: Where the first byte lies: where it was asked for, or 0.
        total: Bytes of the whole file; None where the server does not say.
        tag: Strong ETag of the file; None for none.
        note: What else to know if the bytes are wrong: a sentence, or nothing.
    """

    read_some: Callable[[int], bytes]
    close: Callable[[], None]
    start: int = 0
    total: int | None = None
    tag: str | None = None
    note: str = ""

    def read(self, length: int) -> bytes:
        """Return up to ``length`` > 0 bytes; none at the end.

        Raises:
            TransferError: The connection was cut.
        """
        return self.read_some(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ReleaseSource(Protocol):
    """The folder of a release, somewhere."""

    def describe(self, path: str) -> str:
        """Return the full name of a file, for messages: without secrets."""
        ...

    def open(self, path: str, start: int, tag: str | None) -> Stream:
        """Open a file.

        Args:
            path: The file, relative, with ``/``.
            start: Byte to begin at. Where that can't be had the stream begins at 0.
            tag: ETag of the bytes before ``start``: of another file the stream begins at 0. None where it is not known.

        Raises:
            FileNotFoundError: There is no such file.
            TransferError: It may work when tried again.
            ClosedError: You may not read it; some servers say so of files that do not exist, too.
            StoreError: It will not work.
        """
        ...


def shown(address: str) -> str:
    """Return an address without what may be secret: user, password, query and fragment."""
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return address.partition("://")[0] + "://..."


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: whom a secret is for."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def reason_of(error: BaseException) -> str:
    """Return what happened, without the address that some of these texts hold."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    text = getattr(error, "strerror", None)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
