"""Publish a release with all that its place needs: texts that name the DOI, the metadata of a record, the version before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miso_gen.errors import StoreError
from miso_gen.release.deposit import deposit
from miso_gen.release.making import LOCK, describe, facts_of
from miso_gen.release.publication import PublicationRecord, read_publication
from miso_gen.release.publishing.publish import PublishResult, publish
from miso_gen.store import Dataset, Manifest, PackedTarget, known_releases, open_target, read_manifest, read_root

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from miso_gen.release.facts import Publication, ReleaseFacts
    from miso_gen.release.publishing.interfaces import Watcher


def publish_release(
    release: str | os.PathLike[str],
    to: str,
    *,
    dry_run: bool = False,
    sandbox: bool = False,
    base_url: str | None = None,
    options: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> PublishResult:
    """Publish a release; see :func:`miso_gen.release.publishing.publish.publish` for arguments and errors.

    Args:
        release: Folder of the release, packs included, on this machine; or ``name@version``.
        to: ``zenodo``, ``hf:org/name``, or a place such as ``s3://bucket/prefix``.
        dry_run: Only return the calls that would be made.
        sandbox: Rehearse on sandbox.zenodo.org.
        base_url: Address of another InvenioRDM server, or another Hub.
        options: Passed to the fsspec file system of a place.
        watcher: Hears of the progress.

    Raises:
        StoreError: There is no release with its packs.
    """
    folder = _folder(release)
    manifest = read_manifest(open_target(str(folder)))
    if manifest is None:
        raise StoreError(f"{folder} must be the folder of a release, got no manifest in it. Make one: miso-gen release STORE")
    lacking = [pack for pack in manifest.packs if not (folder / pack).is_file()]
    if lacking:
        name = f"{manifest.name}@{manifest.version}"
        raise StoreError(
            f"{folder} must have all packs of {name}, got no {lacking[0]}. Build its recipe.yaml elsewhere, and make the release "
            "there once more: miso-gen release STORE --previous none -o DIR"
        )
    facts = _facts(folder, manifest)

    def texts(publications: tuple[Publication, ...]) -> Mapping[str, bytes]:
        return describe(replace(facts, publications=publications))

    def record(publications: tuple[Publication, ...]) -> Mapping[str, Any]:
        return deposit(replace(facts, publications=publications))

    return publish(
        folder,
        to,
        describe=texts,
        deposit=record,
        previous=_previous(folder, manifest),
        dry_run=dry_run,
        base_url=base_url,
        sandbox=sandbox,
        options=options,
        watcher=watcher,
    )


def _folder(release: str | os.PathLike[str]) -> Path:
    path = Path(release)
    if path.exists() or not isinstance(release, str):
        return path
    name, _, version = release.partition("@")
    return known_releases().get((name, version), path)


def _facts(folder: Path, manifest: Manifest) -> ReleaseFacts:
    """Return what the texts say, from the packs alone: a store that lies beside them may be another."""
    target = PackedTarget(open_target(str(folder)), manifest)
    lock = json.loads((folder / LOCK).read_bytes())
    return facts_of(Dataset(target, read_root(target)), manifest, lock["built_with"])


def _previous(folder: Path, manifest: Manifest) -> PublicationRecord | None:
    """Return where the version before was published, as far as that is known here."""
    if manifest.previous is None:
        return None
    places = [folder.parent / manifest.previous, known_releases().get((manifest.name, manifest.previous))]
    for place in places:
        if place is not None and (record := read_publication(open_target(str(place)))) is not None:
            return record
    return None
