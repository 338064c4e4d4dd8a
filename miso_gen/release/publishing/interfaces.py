"""What publishing is made of: files to send, calls that send them, and the protocol of a place that takes them."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miso_gen.release.facts import Publication
    from miso_gen.store.local import LocalTarget


class Call(NamedTuple):
    """One request, as ``--dry-run`` shows it.

    Attributes:
        method: Such as ``PUT``.
        url: The address; ``{id}`` and ``{commit}`` are numbers that the service gives.
        size: Bytes of files that are sent, 0 for none; None where they depend on the DOI or on the service.
        when: Said of a call that is made only then; empty for a call that is made in any case.
    """

    method: str
    url: str
    size: int | None = 0
    when: str = ""


@dataclass(frozen=True)
class Upload:
    """A file to send.

    Attributes:
        path: Its path in the release.
        size: In bytes.
        sha256: Of its bytes, hexadecimal.
        content: Where it lies, or its bytes.
        md5: Hexadecimal; empty where the target does not ask for it.
        git: SHA-1 of it as a git blob; empty where the target does not ask for it.
    """

    path: str
    size: int
    sha256: str
    content: Path | bytes
    md5: str = ""
    git: str = ""

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


@dataclass(frozen=True)
class Release:
    """A release that is to be published.

    Attributes:
        folder: Where it lies.
        name: Name of the data set.
        version: Its version.
        checksum: Of its manifest.
    """

    folder: LocalTarget
    name: str
    version: str
    checksum: str


class Reservation(NamedTuple):
    """A place for a release.

    Attributes:
        publication: Where the release will be, with its DOI where there is one.
        published: Whether it is there already, so that all that is left is to compare.
    """

    publication: Publication
    published: bool


class Watcher(Protocol):
    """Whoever wants to know how publishing goes."""

    def start(self, files: int, size: int) -> None:
        """So many files and bytes are to be there."""

    def sent(self, path: str, size: int, *, kept: bool) -> None:
        """A file is there; ``kept``: it was before."""


class Silent:
    """A watcher that says nothing."""

    def start(self, files: int, size: int) -> None:
        """Say nothing."""

    def sent(self, path: str, size: int, *, kept: bool) -> None:
        """Say nothing."""


class Publisher(Protocol):
    """A place to publish to. Its methods are called in the order in which they stand here.

    Each can be called again after it failed, in a later process too: what is there is found, compared and kept. All but
    ``check``, ``expected`` and ``plan`` raise InputError where the service refuses (token, metadata, a version that is there
    with other files), and WorkError where it can't be reached.
    """

    target: str  #: as in :class:`~miso_gen.release.facts.Publication`
    digests: tuple[str, ...]  #: of ``md5`` and ``git``, what it compares besides size and sha256

    def check(self, sizes: Mapping[str, int]) -> None:
        """Refuse what the service would: too many files, too large ones. No network; by path, the bytes of each.

        Raises:
            InputError: A limit is passed.
        """

    def check_new(self, earlier: tuple[Publication, ...]) -> None:
        """Refuse a release that was published here, where a second attempt would make another. No network.

        Raises:
            InputError: It is among the publications.
        """

    def expected(self) -> Publication | None:
        """Return the publication if it is known without asking anybody. No network."""

    def plan(self, sizes: Mapping[str, int | None]) -> tuple[Call, ...]:
        """Return the calls that publishing will make, in order, where nothing was sent before. No network."""

    def reserve(self, earlier: tuple[Publication, ...]) -> Reservation:
        """Make a place for the release, or find the one that an earlier attempt made."""

    def push(self, uploads: Sequence[Upload], publications: tuple[Publication, ...]) -> None:
        """Send what is not there yet. Nobody sees it before ``publish``."""

    def verify(self, uploads: Sequence[Upload]) -> None:
        """Compare every file with what the service says it has."""

    def publish(self) -> None:
        """Make it a release, for everybody to see."""

    def finish(self) -> None:
        """Forget what an attempt had to remember."""

    def close(self) -> None:
        """Hang up; called in any case."""
