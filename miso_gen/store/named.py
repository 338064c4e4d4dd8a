"""Find stores by name: ``name@version``, or ``name`` alone for its greatest version."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from miso_gen.contents import cache_folder
from miso_gen.errors import StoreError, listing, suggestion
from miso_gen.store.manifest import MANIFEST, UNFINISHED, unfinished
from miso_gen.store.root import IMAGES

VARIABLE: Final = "MISO_GEN_DATASETS"  #: folders with data sets, separated as in PATH
FOLDER: Final = "datasets"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PART = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-({_PART}))?(?:\+{_PART})?")


def locate(location: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the path of a store that is given by its name; whatever is no name comes back as it is.

    A name is looked up as ``<name>/<version>`` in ``datasets/`` below the current folder, then in the folders of
    ``MISO_GEN_DATASETS`` and in ``datasets/`` below each, then in ``datasets/`` of the cache. The first place that has the
    version wins. Of a name alone, the greatest version of all places is taken, in the order of SemVer.

    Args:
        location: A path, a URL, ``name`` or ``name@version``. What exists as a file or folder is a path, and so is
            anything but a str.

    Raises:
        StoreError: A name that no data set has; the message lists those that are there. Or it is empty, or no path at all.
        IncompleteStoreError: A fetch of this name has not finished.
    """
    if not isinstance(location, str | os.PathLike) or not os.fspath(location):
        raise StoreError(
            f"store must be a path, a URL, or the name of a data set, got {location!r}. Names: {listing(_stores_here())}."
        )
    if not isinstance(location, str) or os.path.lexists(location):
        return location
    name, at, version = location.partition("@")
    if not _NAME.fullmatch(name) or "/" in version or "\\" in version:
        return location
    found: Path | None
    if at:
        paths = (place / name / version for place in places()) if _VERSION.fullmatch(version) else iter(())
        found = next((path for path in paths if _is_store(path)), None)
    else:
        versions = {other: path for (owner, other), path in known_stores().items() if owner == name}
        newest = max(versions, key=lambda other: (precedence(other), other), default=None)
        found = None if newest is None else versions[newest]
    if found is None:
        raise _unknown(location)
    return str(found)


def places() -> list[Path]:
    """Return the folders in which data sets are looked for, in order; they need not exist."""
    found = [Path(FOLDER)]
    for text in os.environ.get(VARIABLE, "").split(os.pathsep):
        if text:
            folder = Path(text).expanduser()
            found += [folder, folder / FOLDER]
    return [*found, cache_folder() / FOLDER]


def known_stores() -> dict[tuple[str, str], Path]:
    """Return the path of every store that has a name and version, sorted by both."""
    return _named(IMAGES, "*.ozx")


def precedence(version: str) -> tuple[object, ...]:
    """Return what a semantic version is sorted by: a release comes after its pre-releases, build metadata does not count.

    Raises:
        ValueError: It is no semantic version.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"version must be a semantic version, MAJOR.MINOR.PATCH, got {version!r}.")
    *numbers, before = match.groups()
    # Numbers are below texts, and among themselves whole numbers.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return (*map(int, numbers), before is None, tuple(parts))


def ways_to_images(folder: str | os.PathLike[str], name: str, version: str) -> str:
    """Return what to do where a release has no images here: build them, or fetch them where somebody published them."""
    built = f"Build them: miso-gen build {os.fspath(folder).rstrip('/')}/recipe.yaml"
    published = (Path(folder) / "publication.json").is_file()
    return f"{built}; or fetch them: miso-gen fetch {name}@{version}" if published else built


def known_releases() -> dict[tuple[str, str], Path]:
    """Return the folder of every release whose manifest is here, images or not, sorted by name and version."""
    return _named(MANIFEST)


def _named(*patterns: str) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    for place in places():
        for pattern in patterns:
            for path in place.glob(f"*/*/{pattern}"):
                name, version = path.parts[-3:-1]
                if _NAME.fullmatch(name) and _VERSION.fullmatch(version) and (pattern == MANIFEST or _is_store(path.parent)):
                    found.setdefault((name, version), path.parent)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], precedence(item[0][1]), item[0][1])))


def _is_store(path: Path) -> bool:
    """Whether there are images: as a store, or as the packs of a release."""
    return (path / IMAGES).is_dir() or ((path / MANIFEST).is_file() and any(path.glob("*.ozx")))


def _stores_here() -> list[str]:
    return [f"{name}@{version}" for name, version in known_stores()]


def _unknown(text: str) -> StoreError:
    name, _, version = text.partition("@")
    begun = (path for place in places() for path in sorted((place / name).glob(f"{version or '*'}/{UNFINISHED}")))
    for path in begun:
        return unfinished(str(path.parent))
    stores = _stores_here()
    names = list(dict.fromkeys(store.partition("@")[0] for store in stores))
    near = suggestion(text, stores if "@" in text else names)
    for (name, version), path in reversed(known_releases().items()):
        if text in (name, f"{name}@{version}"):
            return StoreError(
                f"{text} must have images somewhere, got its {MANIFEST} in {path} alone. {ways_to_images(path, name, version)}"
            )
    looked = ", ".join(str(place) for place in places())
    return StoreError(
        f"store must be a folder, a URL, a zip archive or one of the data sets {listing(stores)}, got {text!r}, which is none of "
        f"them.{near} Data sets are looked for in {looked}; name more folders in {VARIABLE}."
    )
