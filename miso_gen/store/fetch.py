"""Fetch a release: every file resumed, hashed while it comes, and kept where ``name@version`` is found.

::

    <cache>/datasets/<name>/<version>/
      manifest.json.part    while it is not whole: which release it will be
      index.parquet         there, and right
      train-001.ozx.part    on its way
      manifest.json         last
"""

from __future__ import annotations

import os
import re
import shutil
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from miso_gen.contents import cache_folder
from miso_gen.errors import (
    CorruptStoreError,
    InputError,
    MisoGenWarning,
    MissingExtraError,
    OutputError,
    SpaceError,
    StoreError,
    suggestion,
)
from miso_gen.store.download import Watcher, download, fetch_text, is_there
from miso_gen.store.known import (
    NO_TEXTS,
    PUBLICATION,
    TEXTS,
    checked_manifest,
    committed_manifest,
    known_manifests,
    published_at,
    published_texts,
    read_small,
    version_of,
)
from miso_gen.store.local import LocalTarget
from miso_gen.store.manifest import MANIFEST, UNFINISHED, FileEntry, Manifest
from miso_gen.store.named import FOLDER, places, precedence
from miso_gen.store.part import PART
from miso_gen.store.sources import open_source
from miso_gen.store.streams import ClosedError, ReleaseSource, UnreachableError
from miso_gen.store.target import write_errors
from miso_gen.store.web import HubSource, ZenodoSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_MANIFEST: Final = 1 << 28  #: bytes
LONGEST_PUBLICATION: Final = 1 << 20  #: bytes
_GIVEN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:@([0-9A-Za-z.+-]+))?")


@dataclass(frozen=True)
class FetchResult:
    """What a fetch did.

    Attributes:
        path: The folder of the release.
        version: Its version.
        files: Files that the manifest lists.
        bytes: Their size.
        downloaded: Files that this fetch brought.
        kept: Files that were there; all of them where there was nothing to do.
    """

    path: str
    version: str
    files: int
    bytes: int
    downloaded: int
    kept: int


class _Silent:
    def start(self, files: int, size: int) -> None: ...

    def progress(self, path: str, size: int) -> None: ...

    def waiting(self, path: str) -> None: ...

    def retrying(self, path: str, reason: str, wait: float) -> None: ...


def fetch(
    name: str,
    source: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchResult:
    """Bring a release to this machine, or finish a fetch that was stopped.

    What is there and right is kept; where everything is, no source is asked. Files come to their names when their size and
    sha256 are those of the manifest, and the manifest comes last. Where the manifest of the release is known, beside a
    ``publication.json`` or alone, the one that is fetched must be equal to it, byte by byte.

    Args:
        name: ``name@version``; ``name`` alone: the greatest version whose manifest is known, or else that of the source.
        source: Where from; see :func:`~miso_gen.store.sources.open_source`. None: from where ``publication.json`` beside a
            known manifest says, in its order.
        out: The folder to fill: new, empty, or with (some of) this release. None: ``datasets/<name>/<version>`` of the cache.
        options: For the source: headers of http(s), or what its fsspec file system takes. Without ``source`` they are for
            object stores alone.
        watcher: Hears of the progress.
        sleep: Waits a number of seconds before a transfer is tried again.

    Raises:
        InputError: The name is none, or the source is none.
        StoreError: No source is known, or what is there can't be read.
        UnreachableError: The source could not be reached, not even after a while.
        CorruptStoreError: The source has other bytes than its manifest says, or another manifest than is known.
        OutputError: The folder holds something else, or can't be written.
        SpaceError: The disk has too little room.
        MissingExtraError: The package for this kind of URL is not installed.
    """
    watcher = watcher or _Silent()
    name, version = _parse(name)
    known = known_manifests(name)
    if version is None and known:
        version = max(known, key=lambda other: (precedence(other), other))
    if version is None and source is None:
        raise _no_source(name, None, known)
    _warn_of_newer(name, version, known)
    given = None
    if source is not None:
        given = open_source(source, version, options)
    if version is None:
        assert given is not None
        found = _read_manifest(given, watcher, sleep)[1]
        if found.name != name or version_of(found.version) is None:
            raise _another(given, name, "any version", found)
        version = found.version
    folder = Path(cache_folder() / FOLDER / name / version if out is None else out).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output must be a folder, got the file {folder}. Choose another place with -o.")
    work = _Fetch(name, version, folder, committed_manifest(name, version, known, folder), watcher, sleep)
    if work.is_whole():
        return work.result()
    if given is not None:
        work.bring(given)
        return work.result()
    refusals = []
    for place in published_at(name, version, known):
        try:
            work.bring(_published(place, version, options))
            return work.result()
        except (StoreError, InputError, MissingExtraError, UnreachableError) as error:
            if isinstance(error, OutputError):  # of this machine: another source does not help
                raise
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        reasons = "\n".join(f"- {error}" for error in refusals)
        kind = UnreachableError if any(isinstance(error, UnreachableError) for error in refusals) else StoreError
        raise kind(f"{name}@{version} must be in one of its {len(refusals)} places, got none that works:\n{reasons}")
    raise _no_source(name, version, known)


@dataclass
class _Fetch:
    """One fetch into one folder."""

    name: str
    version: str
    folder: Path
    committed: tuple[Path, bytes] | None  # the manifest that it must have, and who says so
    watcher: Watcher
    sleep: Callable[[float], None]
    manifest: Manifest | None = None
    downloaded: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    def result(self) -> FetchResult:
        assert self.manifest is not None
        return FetchResult(
            path=str(self.folder),
            version=self.version,
            files=len(self.manifest.files),
            bytes=self.manifest.size,
            downloaded=len(self.downloaded),
            kept=len(self.kept),
        )

    def is_whole(self) -> bool:
        """Whether the folder holds this release already, every byte of it."""
        data = read_small(self.folder / MANIFEST)
        if data is None:
            return False
        manifest = checked_manifest(data, str(self.folder / MANIFEST))
        self._require_ours(data)
        if (manifest.name, manifest.version) != (self.name, self.version):
            raise self._occupied(f"one of {manifest.name} {manifest.version}")
        self.watcher.start(len(manifest.files), manifest.size)
        texts = published_texts(read_small(self.folder / PUBLICATION))
        self._keep(manifest, texts)
        self.manifest = manifest
        return len(self.kept) == len(manifest.files)

    def bring(self, source: ReleaseSource) -> None:
        """Complete the folder from a source."""
        data, manifest = _read_manifest(source, self.watcher, self.sleep)
        if (manifest.name, manifest.version) != (self.name, self.version):
            raise _another(source, self.name, self.version, manifest)
        if self.committed is not None and data != self.committed[1]:
            raise CorruptStoreError(
                f"{source.describe(MANIFEST)} must be the manifest in {self.committed[0]}, got another: the published release is "
                "not the one this project committed. Do not use it."
            )
        try:
            record = fetch_text(source, PUBLICATION, LONGEST_PUBLICATION, watcher=self.watcher, sleep=self.sleep)
        except ClosedError:  # what an object store that lists nothing says of files that are not there
            record = None
        texts = published_texts(record)
        self._require_place(data)
        target = LocalTarget(self.folder)
        if not (self.folder / MANIFEST).exists():
            target.write(UNFINISHED, data)
        self.manifest = manifest
        own = published_texts(read_small(self.folder / PUBLICATION))
        self.watcher.start(len(manifest.files), manifest.size)
        self._keep(manifest, {path: (*own.get(path, ()), *texts.get(path, ())) for path in TEXTS})
        self._require_space(manifest)
        for path, entry in manifest.files.items():
            if path in self.kept or path in self.downloaded:
                continue
            wanted = (entry, *texts.get(path, ()))
            brought = download(source, path, wanted, self.folder, watcher=self.watcher, sleep=self.sleep)
            (self.downloaded if brought else self.kept).add(path)
        if record is not None and texts is not NO_TEXTS and not (self.folder / PUBLICATION).exists():
            target.write(PUBLICATION, record)
        target.write(MANIFEST, data)
        target.remove(UNFINISHED)

    def _keep(self, manifest: Manifest, texts: Mapping[str, tuple[FileEntry, ...]]) -> None:
        """Note the files that are there and right."""
        for path, entry in manifest.files.items():
            if path in self.kept or path in self.downloaded:
                continue
            if is_there(self.folder, path, (entry, *texts.get(path, ()))):
                self.kept.add(path)
                self.watcher.progress(path, entry.size)

    def _require_ours(self, data: bytes) -> None:
        if self.committed is not None and data != self.committed[1]:
            raise self._occupied(f"another than {self.committed[0]}, which this project committed")

    def _require_place(self, data: bytes) -> None:
        """Make the folder, and raise OutputError if it holds anything but this release."""
        with write_errors(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
            names = [name for name in os.listdir(self.folder) if ".tmp-" not in name]  # noqa: PTH208
        if not names:
            return
        # In this order: another fetch that ends now writes the one before it removes the other.
        unfinished, finished = (read_small(self.folder / name) for name in (UNFINISHED, MANIFEST))
        there = unfinished if finished is None else finished
        if there == data:
            return
        got = "something else" if there is None else "another manifest"
        raise OutputError(
            f"output {self.folder} must be new, empty, or hold some of this {self.name} {self.version}, got {got}. "
            "Choose another place with -o, or remove it first."
        )

    def _require_space(self, manifest: Manifest) -> None:
        need = 0
        for path, entry in manifest.files.items():
            if path not in self.kept and path not in self.downloaded:
                with suppress(OSError):
                    need -= min((self.folder / f"{path}{PART}").lstat().st_size, entry.size)
                need += entry.size
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise SpaceError(
                f"{self.folder} must have room for {need} bytes, got {free} that are free. Free some space, or choose another "
                "place with -o; what is complete is kept."
            )

    def _occupied(self, got: str) -> OutputError:
        return OutputError(
            f"{self.folder / MANIFEST} must be the manifest of {self.name} {self.version}, got {got}. "
            "Choose another place with -o, or remove the folder first."
        )


def _parse(text: str) -> tuple[str, str | None]:
    match = _GIVEN.fullmatch(text)
    if match and len(text) <= 200 and (match[2] is None or version_of(match[2]) is not None):
        return match[1], match[2]
    raise InputError(f"name must be NAME@VERSION, such as miso1@1.0.0, or NAME, got {text[:200]!r}.")


def _warn_of_newer(name: str, version: str | None, known: Mapping[str, object]) -> None:
    newest = max(known, key=precedence, default=None)
    if version is not None and newest is not None and precedence(newest) > precedence(version):
        text = f"{name}@{newest} is known, and newer than {name}@{version}. Fetch it with: miso-gen fetch {name}@{newest}"
        warnings.warn(text, MisoGenWarning, stacklevel=3)


def _published(place: Mapping[str, str], version: str, options: Mapping[str, Any] | None) -> ReleaseSource:
    target, files = place["target"], place["files"]
    web = files.startswith(("http://", "https://"))
    if target == "zenodo" and web:
        return ZenodoSource(files)
    if target == "hf" and web:
        source = open_source(files, version)
        return source if isinstance(source, HubSource) else HubSource(files)
    return open_source(files, version, None if web else options)


def _read_manifest(source: ReleaseSource, watcher: Watcher, sleep: Callable[[float], None]) -> tuple[bytes, Manifest]:
    data = fetch_text(source, MANIFEST, LONGEST_MANIFEST, watcher=watcher, sleep=sleep)
    name = source.describe(MANIFEST)
    if data is None:
        raise StoreError(f"{name} must exist, got no such file. Check the address: it is that of a release's folder.")
    return data, checked_manifest(data, name)


def _another(source: ReleaseSource, name: str, version: str, found: Manifest) -> StoreError:
    return StoreError(
        f"{source.describe('')} must hold {name}, {version}, got {found.name!r}, {found.version!r}. "
        "Check the name and the address."
    )


def _no_source(name: str, version: str | None, known: Mapping[str, list[Path]]) -> StoreError:
    looked = ", ".join(map(str, places()))
    if version is None or version not in known:
        near = suggestion(version, known) if version is not None else ""
        got = f"no {MANIFEST} of it"
    else:
        near, got = "", f"no {PUBLICATION} beside its {MANIFEST}"
    recipe = next((place / "recipe.yaml" for place in known.get(version or "", ()) if (place / "recipe.yaml").is_file()), None)
    if recipe is None:
        recipe = Path(FOLDER) / name / (version or "VERSION") / "recipe.yaml"
    text = name if version is None else f"{name}@{version}"
    return StoreError(
        f"the address of {text} must be known, got {got} in {looked}.{near} Say where it is with --from, or build it: "
        f"miso-gen build {recipe}"
    )
