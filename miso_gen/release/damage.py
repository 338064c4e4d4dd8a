"""Find every file of a release that is missing, damaged, misplaced or strange, by the checksums of its manifest."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from miso_gen.errors import CorruptStoreError, MisoGenError, StoreError
from miso_gen.release.contents import disagreements
from miso_gen.release.publication import PUBLICATION, manifest_checksum, read_publication
from miso_gen.store import MANIFEST, Dataset, PackedTarget, Problem, read_root
from miso_gen.store.damage import BROKEN, contradictions, image_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from miso_gen.store import FileEntry, Manifest, Target

_BATCH: Final = 1 << 22
#: Names that no manifest lists.
_BESIDE: Final = frozenset({MANIFEST, PUBLICATION, "publishing.json", "build.lock", "images.zarr"})


def release_damage(target: Target, manifest: Manifest, *, packs: bool, seen: Callable[[str], None]) -> Iterator[Problem]:
    """Yield what is wrong with the files of a release; nothing: every byte is as it was released.

    Args:
        target: Its folder.
        manifest: Its manifest.
        packs: Whether its packs and tables are there; else only its texts are looked at, as a store may lie beside them.
        seen: Called with the path of every file that was looked at.
    """
    problems, published = _published(target, manifest)
    yield from problems
    owners = {entry.sha256: path for path, entry in manifest.files.items()}
    bad: set[str] = set()
    for path in release_files(manifest, packs=packs):
        entry = manifest.files[path]
        problem = _file_problem(target, path, {entry, published.get(path, entry)}, owners)
        seen(path)
        if problem is not None:
            bad.add(path)
            yield problem
    if not packs:
        return
    strange = list(_strange_files(target, manifest))
    yield from strange
    yield from _images_in(target, manifest, bad)
    if not (problems or bad or strange):
        yield from _contradictions(target, manifest)


def release_files(manifest: Manifest, *, packs: bool) -> list[str]:
    """Return the files of a release, sorted: all, or without packs and tables.

    Beside a store the tables are those of its build, whose bytes follow the versions that wrote them.
    """
    built = (*manifest.packs, *(path for path in manifest.files if path.endswith(".parquet")))
    return sorted(path for path in manifest.files if packs or path not in built)


def _published(target: Target, manifest: Manifest) -> tuple[list[Problem], Mapping[str, FileEntry]]:
    """Return what is wrong with the record of publications, and what the texts were replaced by."""
    try:
        record = read_publication(target)
    except MisoGenError as error:
        return [Problem(PUBLICATION, "damaged", str(error))], {}
    if record is None:
        return [], {}
    if record.manifest != manifest_checksum(manifest):
        return [Problem(PUBLICATION, "misplaced", "belongs to another release")], {}
    return [], record.files


def _file_problem(target: Target, path: str, allowed: set[FileEntry], owners: Mapping[str, str]) -> Problem | None:
    try:
        source = target.open(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Problem(path, "missing", "is not there")
    except (MisoGenError, OSError) as error:
        return Problem(path, "damaged", f"can't be read: {error}")
    try:
        hashed, place = sha256(), 0
        while data := source.read(place, _BATCH):
            hashed.update(data)
            place += len(data)
    except (MisoGenError, OSError) as error:
        return Problem(path, "damaged", f"can't be read: {error}")
    finally:
        source.close()
    got = hashed.hexdigest()
    if any((place, got) == tuple(entry) for entry in allowed):
        return None
    if got in owners:
        return Problem(path, "misplaced", f"holds the bytes of {owners[got]}")
    sizes = " or ".join(str(size) for size in sorted({entry.size for entry in allowed}))
    if place not in {entry.size for entry in allowed}:
        return Problem(path, "damaged", f"must have {sizes} bytes, got {place}")
    return Problem(path, "damaged", "has another checksum")


def _strange_files(target: Target, manifest: Manifest) -> Iterator[Problem]:
    known = {path.partition("/")[0] for path in manifest.files} | _BESIDE
    folders = {path.rpartition("/")[0] for path in manifest.files if "/" in path}
    try:
        for folder in ("", *sorted(folders)):
            expected = (
                known if not folder else {path.rpartition("/")[2] for path in manifest.files if path.startswith(f"{folder}/")}
            )
            for name in target.list(folder):
                if name not in expected and not name.startswith(".") and not name.endswith(".part"):
                    yield Problem(f"{folder}/{name}".lstrip("/"), "unexpected", "is no file of this release")
    except StoreError:
        return  # web servers list nothing


def _images_in(target: Target, manifest: Manifest, bad: set[str]) -> Iterator[Problem]:
    """Yield which images of damaged packs are damaged; of a pack that can't be opened at all nothing more is said."""
    packed = PackedTarget(target, manifest, verify=False)
    readable = {pack for pack in manifest.packs if pack in bad and _opens(packed, pack)}
    for image_id, entry in manifest.images.items():
        if entry.pack in readable:
            try:
                yield from image_damage(packed, image_id, entry.checksum)
            except BROKEN as error:
                yield Problem(image_id, "damaged", f"can't be read from {entry.pack}: {error}")


def _opens(packed: PackedTarget, pack: str) -> bool:
    try:
        return packed.pack(pack).exists("zarr.json")
    except BROKEN:
        return False


def _contradictions(target: Target, manifest: Manifest) -> Iterator[Problem]:
    """Yield where the files of a release, each as it should be, say different things."""
    strays = [(i, entry.pack) for i, entry in manifest.images.items() if entry.pack not in manifest.files]
    if strays:
        yield from (Problem(i, "contradiction", f"is in {pack}, which is no file of the manifest") for i, pack in strays)
        return
    packed = PackedTarget(target, manifest)
    try:
        dataset = Dataset(packed, read_root(packed))
    except StoreError as error:
        if not isinstance(error, CorruptStoreError):
            raise  # the place can't be read in pieces, which says nothing of what it holds
        yield Problem(MANIFEST, "contradiction", f"the packs can't be read as it says: {error}")
        return
    except BROKEN as error:
        yield Problem(MANIFEST, "contradiction", f"the packs can't be read as it says: {error}")
        return
    yield from disagreements(manifest, dataset)
    yield from contradictions(dataset)
