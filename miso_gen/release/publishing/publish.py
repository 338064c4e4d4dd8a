"""Publishing a release: check it, reserve its place, write its texts for that place, send, compare, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from miso_gen.errors import InputError, OutputError, StoreError, UnknownNameError
from miso_gen.release.facts import Publication
from miso_gen.release.publication import PUBLICATION, PublicationRecord, manifest_checksum, read_publication
from miso_gen.release.publishing.folder import complete_files, published_entries, upload_of
from miso_gen.release.publishing.hub import Hub
from miso_gen.release.publishing.interfaces import Call, Publisher, Release, Reservation, Silent, Upload
from miso_gen.release.publishing.storage import ObjectStorage
from miso_gen.release.publishing.zenodo import SANDBOX, ZENODO, Zenodo
from miso_gen.store.local import LocalTarget
from miso_gen.store.lock import BuildLock
from miso_gen.store.manifest import MANIFEST, read_manifest

if TYPE_CHECKING:
    from miso_gen.release.publishing.interfaces import Watcher
    from miso_gen.release.publishing.zenodo import Deposit
    from miso_gen.store.manifest import Manifest

Describe: TypeAlias = Callable[[tuple[Publication, ...]], Mapping[str, bytes]]  #: the texts of a release, by path

TARGETS = ("zenodo", "hf:org/name", "s3://bucket/prefix")


@dataclass(frozen=True)
class PublishResult:
    """What publishing did, or would do.

    Attributes:
        publication: Where the release is; None after a dry run to a service that gives the address.
        files: Number of files there.
        bytes: Of all of them; after a dry run, of those whose size is known.
        already: Whether it was there before, with the same files.
        calls: What a dry run found would be sent; empty after a real one.
    """

    publication: Publication | None
    files: int
    bytes: int
    already: bool = False
    calls: tuple[Call, ...] = ()


def publish(
    release: str | Path,
    to: str,
    *,
    describe: Describe,
    deposit: Deposit | None = None,
    previous: PublicationRecord | None = None,
    dry_run: bool = False,
    base_url: str | None = None,
    sandbox: bool = False,
    options: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> PublishResult:
    """Publish a release, or finish what an earlier attempt began.

    All files are read and compared with the manifest before the first call. Then a place is reserved, the texts are written for
    it, what is not there yet is sent, everything is compared, and the release is published. Then the folder gets
    ``publication.json`` and the texts. An attempt that stopped anywhere is finished by calling again; a version that is
    published is never changed.

    Args:
        release: Folder of the release, on this machine.
        to: ``zenodo``, ``hf:org/name``, or a place such as ``s3://bucket/prefix``.
        describe: Gives the texts of the release, by path, for the places where it is published. The same places give the
            same bytes.
        deposit: Gives the metadata of a record, in InvenioRDM's form. For Zenodo only.
        previous: Where the version before was published; a record on Zenodo becomes a new version of that one.
        dry_run: Touch nothing, neither on the network nor on disk, and ask for no token: only read the files, and return
            the calls.
        base_url: Address of another InvenioRDM server, or another Hub.
        sandbox: Rehearse on sandbox.zenodo.org; the folder stays as it is.
        options: Passed to the fsspec file system of a place.
        watcher: Hears of the progress.
        sleep: Waits for seconds, between tries.

    Raises:
        InputError: The target can't be, a limit is passed, the token is missing or refused, or the version is published.
        StoreError: There is no release, or its files are not those of its manifest.
        OutputError: Another process publishes this release, or the folder can't be written.
        WorkError: The service can't be reached, or has other bytes than were sent. Publish again.
        MissingExtraError: A client is not installed.
    """
    place = str(release).removeprefix("file://")
    if "://" in place:
        raise InputError(f"release must be a folder on this machine, got {release}. Fetch it first.")
    folder = LocalTarget(place)
    manifest, record = _read(folder)
    told = Release(folder, manifest.name, manifest.version, manifest_checksum(manifest))
    heard = watcher or Silent()
    publisher = open_publisher(
        told,
        to,
        deposit=deposit,
        previous=previous,
        base_url=base_url,
        sandbox=sandbox,
        options=options,
        watcher=heard,
        sleep=sleep,
    )
    earlier = record.publications if record else ()
    publisher.check_new(earlier)
    files = complete_files(folder, manifest, record, publisher.digests)
    publisher.check(_sizes(files, manifest))
    if dry_run:
        return _planned(publisher, files, manifest, earlier, describe)
    try:
        lock = BuildLock(folder).__enter__()
    except OutputError as error:
        if "must be free" not in str(error):
            raise
        raise OutputError(
            f"{folder.url} must be free to publish, got another process at work in it. Wait for it, or stop it."
        ) from None
    try:
        reserved, uploads = _carry_out(publisher, files, manifest, earlier, describe, heard)
        if not sandbox:
            _keep(folder, uploads)
        publisher.finish()
        return PublishResult(
            reserved.publication, len(uploads), sum(upload.size for upload in uploads), already=reserved.published
        )
    finally:
        publisher.close()
        lock.__exit__(None, None, None)


def open_publisher(
    release: Release,
    to: str,
    *,
    deposit: Deposit | None,
    previous: PublicationRecord | None,
    base_url: str | None,
    sandbox: bool,
    options: Mapping[str, Any] | None,
    watcher: Watcher,
    sleep: Callable[[float], object],
) -> Publisher:
    """Return the publisher of a target; see :func:`publish`. Nobody is asked anything yet.

    Raises:
        UnknownNameError: There is no such target.
        InputError: An argument does not go with the target.
    """
    kind = "place" if "://" in to else to.partition(":")[0]
    refused = {
        "sandbox": sandbox and (kind != "zenodo" or base_url is not None),
        "base_url": base_url is not None and kind == "place",
        "options": bool(options) and kind != "place",
    }
    for name, wrong in refused.items():
        if wrong:
            raise InputError(f"{name} must go with the target, got {to!r}. Leave it out.")
    if kind == "place":
        return ObjectStorage(release, to, options or {}, sleep, watcher)
    if kind == "hf":
        return Hub(release, to.partition(":")[2], base_url, sleep, watcher)
    if to != "zenodo":
        raise UnknownNameError("target", to, TARGETS)
    if deposit is None:
        raise InputError("deposit must be given for Zenodo, got None. Pass a function that gives the metadata of the record.")
    return Zenodo(release, deposit, base_url or (SANDBOX if sandbox else ZENODO), previous, sleep, watcher)


def _read(folder: LocalTarget) -> tuple[Manifest, PublicationRecord | None]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder.url} must be a release, got no {MANIFEST}. Make one with miso-gen release.")
    record = read_publication(folder)
    if record is not None and record.manifest != manifest_checksum(manifest):
        raise StoreError(
            f"{folder.describe(PUBLICATION)} must be of the manifest beside it, got that of another. "
            "A published version is never changed: raise the version, or fetch the published files."
        )
    return manifest, record


def _sizes(files: Mapping[str, Upload], manifest: Manifest) -> dict[str, int]:
    """Return the size of everything that is sent, as far as it is known before there is a place."""
    return {**{path: file.size for path, file in files.items()}, MANIFEST: len(manifest.to_bytes()), PUBLICATION: 0}


def _planned(
    publisher: Publisher, files: Mapping[str, Upload], manifest: Manifest, earlier: tuple[Publication, ...], describe: Describe
) -> PublishResult:
    expected = publisher.expected()
    sizes: dict[str, int | None] = dict(_sizes(files, manifest))
    if expected is None:
        sizes |= dict.fromkeys([PUBLICATION, *describe(earlier)])
    else:
        sizes |= {upload.path: upload.size for upload in _uploads(publisher, files, manifest, _with(earlier, expected), describe)}
    return PublishResult(expected, len(sizes), sum(size or 0 for size in sizes.values()), calls=publisher.plan(sizes))


def _carry_out(
    publisher: Publisher,
    files: Mapping[str, Upload],
    manifest: Manifest,
    earlier: tuple[Publication, ...],
    describe: Describe,
    watcher: Watcher,
) -> tuple[Reservation, list[Upload]]:
    reserved = publisher.reserve(earlier)
    publications = _with(earlier, reserved.publication)
    uploads = _uploads(publisher, files, manifest, publications, describe)
    sizes = {upload.path: upload.size for upload in uploads}
    publisher.check(sizes)
    watcher.start(len(sizes), sum(sizes.values()))
    if not reserved.published:
        publisher.push(uploads, publications)
    publisher.verify(uploads)
    if not reserved.published:
        publisher.publish()
    return reserved, uploads


def _keep(folder: LocalTarget, uploads: Sequence[Upload]) -> None:
    """Write the record and the texts as they were published."""
    texts = {upload.path: upload.content for upload in uploads if isinstance(upload.content, bytes) and upload.path != MANIFEST}
    # The record first: it vouches for the texts, whichever of them an interruption leaves unwritten.
    for path in sorted(texts, key=lambda path: (path != PUBLICATION, path)):
        folder.write(path, texts[path])


def _with(earlier: tuple[Publication, ...], publication: Publication) -> tuple[Publication, ...]:
    return earlier if publication in earlier else (*earlier, publication)


def _uploads(
    publisher: Publisher,
    files: Mapping[str, Upload],
    manifest: Manifest,
    publications: tuple[Publication, ...],
    describe: Describe,
) -> list[Upload]:
    """Return everything that is sent: files, texts for the places, the record, the manifest."""
    texts = {path: upload_of(path, data, publisher.digests) for path, data in sorted(describe(publications).items())}
    strange = texts.keys() - files.keys()
    if strange:
        raise InputError(f"describe must give texts of the manifest, got {sorted(strange)}. Make the release with them.")
    now = {**files, **texts}
    written = {path: now[path] for path, entry in manifest.files.items() if path in texts or now[path].sha256 != entry.sha256}
    record = PublicationRecord(manifest_checksum(manifest), publications, published_entries(written))
    last = {PUBLICATION: record.to_bytes(), MANIFEST: manifest.to_bytes()}
    ends = [upload_of(path, data, publisher.digests) for path, data in last.items()]
    return [*now.values(), *ends]
