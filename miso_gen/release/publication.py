"""Where a release was published: ``publication.json``, which lies in its folder, in git, and at every target.

::

    publication.json
      format
      manifest      the checksum of manifest.json
      publications  target, url, files, doi of each, in order
      files         path -> [size in bytes, sha256] of the texts as they were published last
      checksum      BLAKE3 of this text without the line

A DOI is known only when a release is complete, and stands in some of its texts. These are written again, so they differ
from what the manifest says of them; this record vouches for the new ones. It is canonical: any edit shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from miso_gen.errors import CorruptStoreError
from miso_gen.release.facts import Publication
from miso_gen.store.canonical import block, closed, parsed, spelled
from miso_gen.store.manifest import FileEntry

if TYPE_CHECKING:
    from miso_gen.store.manifest import Manifest
    from miso_gen.store.target import Target

PUBLICATION: Final = "publication.json"
FORMAT: Final = 1  #: version of the record


@dataclass(frozen=True)
class PublicationRecord:
    """Where a release was published.

    Attributes:
        manifest: Checksum of its manifest, as :func:`manifest_checksum` gives it.
        publications: Where, in order.
        files: The texts that were written again, by path.
    """

    manifest: str
    publications: tuple[Publication, ...] = ()
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the text of ``publication.json``."""
        return closed(self._lines())

    def _lines(self) -> list[str]:
        places = [spelled(asdict(publication)) for publication in self.publications]
        files = [f"{spelled(path)}: {spelled(list(entry))}" for path, entry in sorted(self.files.items())]
        return [
            f'"format": {FORMAT}',
            f'"manifest": {spelled(self.manifest)}',
            '"publications": [' + block(places) + "]",
            '"files": {' + block(files) + "}",
        ]

    @classmethod
    def from_bytes(cls, data: bytes, name: str = PUBLICATION) -> PublicationRecord:
        """Return the record of such a text.

        Args:
            data: The text.
            name: What to call it in messages.

        Raises:
            StoreError: It is of a newer format.
            CorruptStoreError: It was cut off or edited.
        """
        document = parsed(data, FORMAT, name, _edited)
        try:
            places = tuple(Publication(**place) for place in document["publications"])
            files = {path: FileEntry(*entry) for path, entry in document["files"].items()}
            record = cls(document["manifest"], places, files)
            same = record.to_bytes() == data
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _edited(name, f"a text without {error}") from None
        if not same:
            raise _edited(name, "another")
        return record


def read_publication(target: Target) -> PublicationRecord | None:
    """Return where a release was published, None where it was not.

    Args:
        target: The folder of the release.

    Raises:
        StoreError: The record is of a newer format.
        CorruptStoreError: It was cut off or edited.
    """
    try:
        data = target.read(PUBLICATION)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return PublicationRecord.from_bytes(data, target.describe(PUBLICATION))


def manifest_checksum(manifest: Manifest) -> str:
    """Return the checksum that stands in the last line of ``manifest.json``."""
    checksum: str = json.loads(manifest.to_bytes())["checksum"]
    return checksum


def _edited(name: str, got: str) -> CorruptStoreError:
    return CorruptStoreError(f"{name} must be the record that publishing wrote, got {got}. Fetch it again.")
