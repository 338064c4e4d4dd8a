"""Make a release of a store: packs, tables, texts, and a manifest that vouches for all of them, written last."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date as day
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from miso_gen.contents import content_path
from miso_gen.errors import InputError, OutputError, StoreError
from miso_gen.preview import preview
from miso_gen.recipe import Recipe
from miso_gen.release.card import card
from miso_gen.release.changelog import changelog
from miso_gen.release.citation import citation
from miso_gen.release.contents import contents_of, entry_of, newest_release
from miso_gen.release.croissant import croissant
from miso_gen.release.differences import Difference, compare
from miso_gen.release.facts import ReleaseFacts
from miso_gen.release.licences import licence_text
from miso_gen.release.lock import built_with, lock
from miso_gen.release.packs import PACK_BYTES, plan_packs, read_records, write_pack
from miso_gen.release.tables import split_table
from miso_gen.release.versions import Decision, decide_version
from miso_gen.store import MANIFEST, Dataset, FileEntry, LocalTarget, Manifest, open_dataset, open_target, read_manifest
from miso_gen.store.imports import RECIPE, recipe_text
from miso_gen.store.index import INDEX, INSTANCES
from miso_gen.store.target import attempt_id, write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from miso_gen.release.packs import Pack

SHEET: Final = "preview.png"
LOCK: Final = "lock.json"
CHANGES: Final = "CHANGELOG.md"
LICENCE: Final = "LICENSE"
_SIDES: Final = (256, 192, 128, 96)  #: of pictures on the contact sheet, tried until it is small enough
_SHEET_BYTES: Final = 300_000
_BATCH: Final = 1 << 22


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def start(self, what: str, total: int) -> None:
        """A part begins: so many steps of it."""

    def step(self, what: str) -> None:
        """One more step is done."""


class Silent:
    """A watcher that says nothing."""

    def start(self, what: str, total: int) -> None:
        """See :class:`Watcher`."""

    def step(self, what: str) -> None:
        """See :class:`Watcher`."""


@dataclass(frozen=True)
class ReleaseResult:
    """What was released.

    Attributes:
        path: Folder of the release.
        manifest: Its manifest.
        decision: Its version, and why.
        difference: What changed since the release before; None: it is the first.
        warnings: What its users will miss.
    """

    path: str
    manifest: Manifest
    decision: Decision
    difference: Difference | None
    warnings: tuple[str, ...] = ()


def make_release(
    store: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    version: str | None = None,
    date: str | None = None,
    previous: str | os.PathLike[str] | None = None,
    pack_bytes: int = PACK_BYTES,
    options: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> ReleaseResult:
    """Make a release of a complete store.

    Args:
        store: The store: folder, URL, zip archive or name.
        out: Folder of the release; default ``datasets/<name>/<version>``.
        version: The version it must get; default: decided from what changed.
        date: Its day, ``YYYY-MM-DD``; default: the recipe's.
        previous: The release before: a folder, a manifest or ``name@version``; ``none``: there is none; default: the greatest
            version that is known here.
        pack_bytes: Size up to which images share a pack.
        options: Passed to the fsspec file system of a URL.
        watcher: Hears of the progress.

    Raises:
        InputError: There is no date, nothing changed, or the version is not what the changes ask for.
        OutputError: The version was released before, or the folder can't be used.
        StoreError: There is no complete, sound store, or the release before is none.
        SpaceError: The disk is full.
    """
    if pack_bytes < 1:
        raise InputError(f"pack size must be at least 1 byte, got {pack_bytes}. 4 GB is a good choice.")
    dataset = open_dataset(store, options=options)
    if not isinstance(dataset.root.files, dict) or not dataset.root.files:
        raise StoreError(
            f"{dataset.target.describe('')} must have checksums of its files, got none. An older miso-gen built it: "
            "run miso-gen build again."
        )
    recipe = Recipe.from_dict(dataset.recipe)
    released_on = _date(recipe, date)
    packer = _Releaser(dataset, recipe, released_on, pack_bytes, watcher or Silent())
    return packer.release(None if out is None else Path(out), version, previous)


def describe(facts: ReleaseFacts) -> dict[str, bytes]:
    """Return the texts that name where a release was published: card, citation and Croissant, by path."""
    return {
        "README.md": card(facts).encode(),
        "CITATION.cff": citation(facts).encode(),
        "croissant.json": croissant(facts),
    }


def facts_of(dataset: Dataset, manifest: Manifest, versions: Mapping[str, str]) -> ReleaseFacts:
    """Return what the texts of a release say.

    Args:
        dataset: Its images.
        manifest: Its manifest, with its data files at least.
        versions: Versions of the packages that built it.
    """
    recipe = Recipe.from_dict({**dataset.recipe, "version": manifest.version})
    data = {path: entry for path, entry in manifest.files.items() if path not in _TEXTS}
    return ReleaseFacts(
        recipe=recipe,
        version=manifest.version,
        date=manifest.date,
        previous=manifest.previous,
        recipe_digest=manifest.recipe_digest,
        root_digest=manifest.root_digest,
        table=dataset.table.drop(columns=["histogram"]),
        objects=len(dataset.objects),
        files=data,
        images_in=dict(Counter(entry.pack for entry in manifest.images.values() if entry.pack is not None)),
        versions=versions,
    )


_TEXTS: Final = frozenset({"README.md", "CITATION.cff", "croissant.json", LICENCE, LOCK, CHANGES})


def _date(recipe: Recipe, given: str | None) -> str:
    text = given if given is not None else recipe.date
    try:
        if day.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise InputError(
        f"day of the release must be YYYY-MM-DD, got {text or 'nothing'}. Give it with --date, or as date: in the recipe; "
        "no clock is read, so that the same release has the same bytes."
    )


@dataclass
class _Releaser:
    """One release in the making."""

    dataset: Dataset
    recipe: Recipe
    date: str
    pack_bytes: int
    watcher: Watcher
    files: dict[str, FileEntry] = field(default_factory=dict)

    def release(self, out: Path | None, asked: str | None, previous: str | os.PathLike[str] | None) -> ReleaseResult:
        before, place = self._previous(previous, out)
        table = self.dataset.table
        checksums = dict(zip(table["image_id"], table.get("checksum", [None] * len(table)), strict=True))
        packs = plan_packs(self.dataset.target, read_records(self.dataset.target, checksums), self.pack_bytes)
        images = self._entries(packs)
        plain = Manifest(
            name=self.dataset.name,
            version=self.dataset.version,
            title=self.recipe.title,
            license=self.recipe.license,
            date=self.date,
            previous=None if before is None else before.version,
            recipe_digest=self.dataset.recipe_digest,
            root_digest=self.dataset.root_digest or "",
            images=images,
        )
        difference = None if before is None else compare(before, plain)
        decision = decide_version(difference, self.recipe.version, asked)
        if difference is not None and difference.same_images and asked is None and self._same_texts(place):
            raise InputError(
                f"data set must have changed since its release {difference.old.version}, got the same images and texts. "
                f"To release it all the same, ask for a version: --version {decision.version}; to make {difference.old.version} "
                "once more elsewhere: --previous none -o DIR."
            )
        folder = out if out is not None else Path("datasets") / self.dataset.name / decision.version
        self._require_place(folder, decision.version)
        self._write_data(folder, packs, decision.version)
        self._write(folder, LICENCE, licence_text(self._facts(plain, decision)).encode())
        older = _text(place / CHANGES) if place is not None else ""
        self._write(folder, CHANGES, changelog(decision, self.date, len(images), difference, older).encode())
        for path, text in describe(self._facts(plain, decision)).items():
            self._write(folder, path, text)
        manifest = self._manifest(plain, decision)
        self._put(folder, MANIFEST, manifest.to_bytes())
        return ReleaseResult(str(folder), manifest, decision, difference, tuple(self._warnings()))

    def _previous(self, given: str | os.PathLike[str] | None, out: Path | None) -> tuple[Manifest | None, Path | None]:
        """Return the manifest of the release before, and its folder where that is known."""
        if given == "none":
            return None, None
        if given is None:
            return newest_release(self.dataset.name, out) or (None, None)
        manifest = contents_of(given)
        if manifest.name != self.dataset.name:
            raise InputError(f"release before must be of {self.dataset.name}, got one of {manifest.name}. Give another.")
        path = Path(given)
        folder = path.parent if path.is_file() else path
        return manifest, folder if folder.is_dir() else None

    def _same_texts(self, place: Path | None) -> bool:
        """Whether the release before has the same recipe, whatever its version and day."""
        import yaml

        if place is None or not (place / RECIPE).is_file():
            return False
        apart = {"version": "", "date": ""}
        return bool({**yaml.safe_load((place / RECIPE).read_bytes()), **apart} == {**self.recipe.to_dict(), **apart})

    def _entries(self, packs: list[Pack]) -> dict[str, Any]:
        packed = {record.image_id: pack.name for pack in packs for record in pack.records}
        rows = self.dataset.table.to_dict("records")
        return {row["image_id"]: entry_of(self.dataset, row, packed[row["image_id"]]) for row in rows}

    def _manifest(self, plain: Manifest, decision: Decision) -> Manifest:
        return Manifest(**{**vars_of(plain), "version": decision.version, "files": dict(self.files)})

    def _facts(self, plain: Manifest, decision: Decision) -> ReleaseFacts:
        return facts_of(self.dataset, self._manifest(plain, decision), built_with(self.dataset.root.generator))

    def _require_place(self, folder: Path, version: str) -> None:
        """Raise OutputError unless the folder is new, or has what this release may stand beside."""
        reserved = {"index", "instances"} & set(self.recipe.splits)
        if reserved:
            raise InputError(f"splits of a release must not be called {sorted(reserved)[0]}, as one of its tables is. Rename it.")
        target = open_target(str(folder))
        there = read_manifest(target)
        if there is not None:
            raise OutputError(
                f"{folder} must be new, got release {there.version} of {there.name}, which stays as it is. "
                "Released versions never change: make another version, or choose another place with -o."
            )
        here = self.dataset.target
        if isinstance(here, LocalTarget) and Path(here.root).resolve() in folder.resolve().parents:
            raise OutputError(f"output must be the store {here.root} itself, or outside of it, got {folder}. Choose another.")
        own = isinstance(here, LocalTarget) and Path(here.root).resolve() == folder.resolve()
        if own and version != self.dataset.version:
            raise OutputError(
                f"{folder} must be a place of version {version}, got the store of {self.dataset.version}. Choose another with -o."
            )
        known = {*_TEXTS, SHEET, RECIPE, INDEX, INSTANCES, "imports", *(f"{split}.parquet" for split in self.recipe.splits)}
        strange = [name for name in target.list("") if name not in known and not name.endswith((".ozx", ".part")) and not own]
        if strange:
            raise OutputError(f"{folder} must be new, got a folder with {strange[0]} in it. Choose another place with -o.")

    def _write_data(self, folder: Path, packs: list[Pack], version: str) -> None:
        source, root = self.dataset.target, self.dataset.root
        recipe, text = self._recipe(version)
        self._write(folder, RECIPE, text)
        for path in (INDEX, INSTANCES, *map(content_path, root.imports)):
            self._write(folder, path, self._sound(path))
        self._write(folder, LOCK, lock(self.recipe, root))
        self.watcher.start("contact sheet", 1)
        self._write(folder, SHEET, self._sheet())
        self.watcher.step("contact sheet")
        packed = {record.image_id: pack.name for pack in packs for record in pack.records}
        self.watcher.start("tables", len(packed))
        for split in self.dataset.splits:
            data = split_table(self.dataset, split, packed, lambda _: self.watcher.step("tables"))
            self._write(folder, f"{split}.parquet", data)
        files = {path: checksum for path, checksum in root.files.items() if path != RECIPE}
        facts = {"layout": root.layout, "name": root.name, "version": version, "recipe": recipe}
        facts |= {"recipe_digest": root.recipe_digest, "generator": {}, "state": "complete", "files": files}
        facts |= {"root_digest": root.root_digest, "images": root.images, "imports": list(root.imports)}
        self.watcher.start("packs", len(packs))
        for pack in packs:
            with self._opened(folder, pack.name) as file:
                write_pack(file, pack, source, facts)
            self.watcher.step("packs")

    def _recipe(self, version: str) -> tuple[dict[str, Any], bytes]:
        """Return the recipe of a version, and its text: that of the store where the version is the same."""
        import yaml

        files, target = self.dataset.root.files, self.dataset.target
        text = self._sound(RECIPE) if RECIPE in files else target.read(RECIPE)
        recipe = Recipe.from_dict({**yaml.safe_load(text), "version": version}).to_dict()
        return recipe, text if version == self.dataset.version else recipe_text(recipe)

    def _sound(self, path: str) -> bytes:
        from miso_gen.store import checksum

        data = self.dataset.target.read(path)
        if checksum(data) != self.dataset.root.files.get(path):
            raise StoreError(
                f"{self.dataset.target.describe(path)} must be as its build left it, got another. Build the store again."
            )
        return data

    def _sheet(self) -> bytes:
        """Return the contact sheet, as large as its limit in bytes lets it be."""
        sheets = (preview(self.recipe, side=side, dataset=self.dataset) for side in _SIDES)
        data = b""
        for data in sheets:
            if len(data) <= _SHEET_BYTES:
                break
        return data

    def _warnings(self) -> Iterator[str]:
        if not self.recipe.license:
            yield "no licence is given: nobody may use the data. Write license: CC-BY-4.0 into the recipe."
        if not self.recipe.authors:
            yield "no authors are given: the citation names none. Write authors: [{name: 'Family, Given'}] into the recipe."

    def _write(self, folder: Path, path: str, data: bytes) -> None:
        self._put(folder, path, data)
        self.files[path] = FileEntry(len(data), sha256(data).hexdigest())

    @staticmethod
    def _put(folder: Path, path: str, data: bytes) -> None:
        target = LocalTarget(folder)
        if target.size(path) != len(data) or target.read(path) != data:
            target.write(path, data)

    @contextmanager
    def _opened(self, folder: Path, name: str) -> Iterator[IO[bytes]]:
        """Yield a new file that takes its place, and its entry, when it is complete."""
        final, part = folder / name, folder / f"{name}.{attempt_id()}.part"
        try:
            with write_errors(str(final)), part.open("w+b") as file:
                yield file
                file.flush()
                file.seek(0)
                hashed, size = sha256(), 0
                while data := file.read(_BATCH):
                    hashed.update(data)
                    size += len(data)
                part.replace(final)
            self.files[name] = FileEntry(size, hashed.hexdigest())
        finally:
            part.unlink(missing_ok=True)


def vars_of(manifest: Manifest) -> dict[str, Any]:
    """Return the fields of a manifest."""
    return {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
