"""What this machine knows of releases before any source is asked: their manifests, and where they were published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from miso_gen.errors import CorruptStoreError, MisoGenError
from miso_gen.store.manifest import MANIFEST, FileEntry, Manifest
from miso_gen.store.named import places, precedence
from miso_gen.store.target import write_errors
from miso_gen.store.untrusted import check_files, is_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PUBLICATION: Final = "publication.json"  #: beside the manifest: where the release was published
TEXTS: Final = ("README.md", "CITATION.cff", "croissant.json")  #: may be rendered again at publishing, with the DOI
NO_TEXTS: Final[Mapping[str, tuple[FileEntry, ...]]] = {}  #: of what is no ``publication.json``


def known_manifests(name: str) -> dict[str, list[Path]]:
    """Return the folders that hold a manifest of a data set, by version; those of a version in the order of :func:`places`."""
    found: dict[str, list[Path]] = {}
    for place in places():
        for path in sorted((place / name).glob(f"*/{MANIFEST}")):
            version = version_of(path.parent.name)
            if version is not None and path.is_file():
                found.setdefault(version, []).append(path.parent)
    return found


def version_of(text: str) -> str | None:
    """Return a semantic version, None for any other text."""
    try:
        precedence(text)
    except (TypeError, ValueError):
        return None
    return text if text.isascii() and len(text) <= 100 else None


def committed_manifest(name: str, version: str, known: Mapping[str, list[Path]], folder: Path) -> tuple[Path, bytes] | None:
    """Return the first known manifest of a release, and where it is; the folder to fill says nothing about itself."""
    for place in known.get(version, ()):
        if place.absolute() == folder or (folder.exists() and place.samefile(folder)):
            continue
        path = place / MANIFEST
        data = path.read_bytes()
        manifest = checked_manifest(data, str(path))
        if (manifest.name, manifest.version) == (name, version):
            return path, data
    return None


def published_at(name: str, version: str, known: Mapping[str, list[Path]]) -> Iterator[Mapping[str, str]]:
    """Yield where a release was published, as the first ``publication.json`` beside a known manifest says."""
    for place in known.get(version, ()):
        data = read_small(place / PUBLICATION)
        if data is None:
            continue
        document = _json(data)
        found = document.get("publications")
        listed = found if isinstance(found, list) else []
        good = [
            item for item in listed if isinstance(item, dict) and all(isinstance(item.get(k), str) for k in ("target", "files"))
        ]
        if not good and found != []:
            raise CorruptStoreError(f"{place / PUBLICATION} must list publications of {name}, got none. Restore it.")
        if good:
            yield from good
            return


def checked_manifest(data: bytes, name: str) -> Manifest:
    """Return a manifest that says what it must, and names nothing that it must not.

    Raises:
        StoreError: It is of a newer format.
        CorruptStoreError: It is none, was edited, or is malicious.
    """
    try:
        manifest = Manifest.from_bytes(data, name)
        unlisted = sorted(set(manifest.packs) - set(manifest.files))
    except MisoGenError:
        raise
    except Exception as error:  # made to be no manifest: nested too deep, of other types, with characters that are none
        raise CorruptStoreError(f"{name} must be a manifest, got one that can't be read ({type(error).__name__}).") from None
    if unlisted:
        raise CorruptStoreError(f"images of {name} must be in files that it lists, got {unlisted[0][:80]!r}. Do not use it.")
    check_files(manifest.files, name)
    return manifest


def published_texts(data: bytes | None) -> Mapping[str, tuple[FileEntry, ...]]:
    """Return the texts that a ``publication.json`` lists as they were published; ``NO_TEXTS`` if it is no such file."""
    document = _json(data) if data is not None else {}
    if "publications" not in document:  # a server may answer anything where there is no such file
        return NO_TEXTS
    files = document.get("files")
    found = {}
    for path in TEXTS:
        entry = files.get(path) if isinstance(files, dict) else None
        if isinstance(entry, list) and len(entry) == 2 and is_entry(*entry):
            found[path] = (FileEntry(*entry),)
    return found


def _json(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def read_small(path: Path) -> bytes | None:
    """Return the bytes of a file, None where there is none."""
    with write_errors(str(path)):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
