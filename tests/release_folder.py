"""Little releases to publish: a few files of random bytes, with a manifest that is right."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miso_gen.store.digests import root_digest
from miso_gen.store.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.release.facts import Publication

TEXTS = ("CITATION.cff", "README.md", "croissant.json")


def texts(publications: tuple[Publication, ...]) -> dict[str, bytes]:
    """The texts of a release: each names where it was published."""
    places = "\n".join(f"{place.target} {place.files} {place.doi}" for place in publications) or "nowhere"
    return {path: f"{path} of toy\n{places}\n".encode() for path in TEXTS}


def deposit(publications: tuple[Publication, ...]) -> dict[str, Any]:
    """Metadata of a record."""
    return {
        "title": "Toy",
        "creators": [{"person_or_org": {"type": "organizational", "name": "Toys"}}],
        "publication_date": "2026-01-02",
        "resource_type": {"id": "dataset"},
        "version": "1.0.0",
        "description": " ".join(place.url for place in publications),
    }


def make_release(folder: Path, *, version: str = "1.0.0", seed: int = 0, name: str = "toy", **files: bytes) -> Manifest:
    """Write a release; ``files`` are more of them, with ``__`` for ``/`` and ``_ozx`` for ``.ozx``."""
    rng = random.Random(seed)
    data = {
        **texts(()),
        "imports/ab12.npz": rng.randbytes(300),
        "index.parquet": rng.randbytes(2000),
        "recipe.yaml": b"schema: 1\n",
        "test-001.ozx": rng.randbytes(70_000),
        "train-001.ozx": rng.randbytes(150_000),
        "empty.yaml": b"",
        **{path.replace("__", "/").replace("_ozx", ".ozx"): content for path, content in files.items()},
    }
    for path, content in data.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    entries = {path: FileEntry(len(content), hashlib.sha256(content).hexdigest()) for path, content in data.items()}
    manifest = Manifest(name, version, "Toy", "CC-BY-4.0", "2026-01-02", None, "ab" * 32, root_digest([]), entries, {})
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return manifest


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def with_files(manifest: Manifest, files: Mapping[str, FileEntry]) -> Manifest:
    """Return a manifest that lists more."""
    return replace(manifest, files={**manifest.files, **files})
