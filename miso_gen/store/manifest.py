"""The manifest of a release: what every image is, and what every file is, in one text that vouches for itself.

::

    manifest.json
      format, name, version, title, license, date, previous
      recipe_digest, root_digest
      files     path -> [size in bytes, sha256]
      images    columns, and one row an image: id, labels, digests of its arrays, the pack that holds it
      checksum  BLAKE3 of this text without the line

The text is canonical: the same release has the same bytes, and any edit shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from miso_gen.errors import CorruptStoreError, IncompleteStoreError
from miso_gen.store.canonical import block, closed, parsed, spelled
from miso_gen.store.digests import root_digest

if TYPE_CHECKING:
    from miso_gen.store.target import Target

MANIFEST: Final = "manifest.json"
UNFINISHED: Final = f"{MANIFEST}.part"  #: the manifest of a release that is not fetched as a whole
FORMAT: Final = 1  #: version of the manifest
_HEAD: Final = ("name", "version", "title", "license", "date", "previous", "recipe_digest", "root_digest")


class FileEntry(NamedTuple):
    """A file of a release.

    Attributes:
        size: In bytes.
        sha256: Of its bytes, hexadecimal.
    """

    size: int
    sha256: str


class ImageEntry(NamedTuple):
    """An image of a release; digests are hexadecimal, None where there is no such array.

    Attributes:
        image_id: Such as ``gsp/test/0007``.
        scenario: Name of its scenario.
        split: Name of its split.
        label: Its class.
        class_name: Name of its class.
        pair: The pair it belongs to, None for none.
        image_digest: Of its pixels.
        truth_digest: Of its truth.
        instances_digest: Of its instances.
        objects_digest: Of its table of objects.
        checksum: BLAKE3 of its ``zarr.json``, which has the checksums of its other files.
        pack: The archive that holds it.
    """

    image_id: str
    scenario: str
    split: str
    label: int
    class_name: str
    pair: str | None
    image_digest: str
    truth_digest: str
    instances_digest: str | None
    objects_digest: str | None
    checksum: str | None
    pack: str | None


@dataclass(frozen=True)
class Manifest:
    """What a release holds.

    Attributes:
        name: Name of the data set.
        version: Its version.
        title: One line for people.
        license: SPDX name of its licence.
        date: Day of the release, ``YYYY-MM-DD``.
        previous: The version before, None for the first.
        recipe_digest: Digest of its recipe.
        root_digest: Digest over all images.
        files: Every file but the manifest, by path.
        images: Every image, by id.
    """

    name: str
    version: str
    title: str
    license: str
    date: str
    previous: str | None
    recipe_digest: str
    root_digest: str
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    images: Mapping[str, ImageEntry] = field(default_factory=dict)

    @cached_property
    def packs(self) -> tuple[str, ...]:
        """The archives that hold images, sorted."""
        return tuple(sorted({entry.pack for entry in self.images.values() if entry.pack is not None}))

    @property
    def size(self) -> int:
        """Size of all files, added up."""
        return sum(entry.size for entry in self.files.values())

    def to_bytes(self) -> bytes:
        """Return the text of ``manifest.json``."""
        return closed(self._lines())

    def _lines(self) -> list[str]:
        head: dict[str, Any] = {"format": FORMAT, **{name: getattr(self, name) for name in _HEAD}}
        lines = [f"{spelled(key)}: {spelled(value)}" for key, value in head.items()]
        files = [f"{spelled(path)}: {spelled(list(entry))}" for path, entry in sorted(self.files.items())]
        lines.append('"files": {' + block(files) + "}")
        rows = [spelled(list(entry)) for _, entry in sorted(self.images.items())]
        lines.append(f'"columns": {spelled(ImageEntry._fields)}')
        lines.append('"images": [' + block(rows) + "]")
        return lines

    @classmethod
    def from_bytes(cls, data: bytes, name: str = MANIFEST) -> Manifest:
        """Return the manifest of such a text.

        Args:
            data: The text.
            name: What to call it in messages.

        Raises:
            StoreError: It is of a newer format.
            CorruptStoreError: It was cut off or edited.
        """
        document = parsed(data, FORMAT, name, _edited)
        try:
            if document["columns"] != list(ImageEntry._fields):
                raise _edited(name, "other columns")
            files = {path: FileEntry(*entry) for path, entry in document["files"].items()}
            images = {row[0]: ImageEntry(*row) for row in document["images"]}
            manifest = cls(**{key: document[key] for key in _HEAD}, files=files, images=images)
            same = manifest.to_bytes() == data
            digest = root_digest(entry._asdict() for entry in images.values())
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise _edited(name, f"a text without {error}") from None
        if not same:
            raise _edited(name, "another")
        if digest != manifest.root_digest:
            raise _edited(name, "images of another root digest")
        return manifest


def read_manifest(target: Target) -> Manifest | None:
    """Return the manifest of a place, None where there is none.

    Raises:
        IncompleteStoreError: A fetch into this place has not finished.
        StoreError: It is of a newer format.
        CorruptStoreError: It was cut off or edited.
    """
    try:
        data = target.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        if target.size(UNFINISHED) is not None:
            raise unfinished(target.describe("")) from None
        return None
    return Manifest.from_bytes(data, target.describe(MANIFEST))


def unfinished(place: str) -> IncompleteStoreError:
    """Return the error of a place that a fetch has not filled yet."""
    return IncompleteStoreError(
        f"{place} must hold a whole release, got a download that has not finished. Run the same miso-gen fetch again: it goes on "
        "where it was; or remove the folder."
    )


def _edited(name: str, got: str) -> CorruptStoreError:
    return CorruptStoreError(f"{name} must be the manifest that a release wrote, got {got}. Fetch it again.")
