"""Whatever happens to a store or a release by chance is found by verify, and named."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from building import cli
from releasing import Files, Scene, assert_equal_images, everything, release_store

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, StoreError
from miso_gen.geometry import Box
from miso_gen.recipe import Recipe
from miso_gen.release.verify import verify
from miso_gen.store import (
    FileEntry,
    ImageLayout,
    ImageWriter,
    Manifest,
    checksum,
    collect_records,
    finish_root,
    list_images,
    open_dataset,
    open_target,
    read_root,
    root_digest,
)
from miso_gen.store.imports import recipe_text
from miso_gen.store.index import INDEX, index_table, to_parquet
from miso_gen.store.metadata import canonical
from miso_gen.store.root import root_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from miso_gen.release.verify import Verification

IMAGES = "images.zarr/"
ROOT = "images.zarr/zarr.json"
MANIFEST = "manifest.json"


# --- faults: functions from a folder to the same folder with something wrong ------------------------------------------


def flip(files: Files, rng: random.Random) -> Files:
    """Flip one bit."""
    path = _some_file(files, rng)
    data = bytearray(files[path])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return files | {path: bytes(data)}


def cut(files: Files, rng: random.Random) -> Files:
    """Cut a file off; often a little, sometimes to nothing."""
    path = _some_file(files, rng)
    size = len(files[path])
    return files | {path: files[path][: rng.choice((0, size - 1, rng.randrange(size)))]}


def append(files: Files, rng: random.Random) -> Files:
    """Append bytes."""
    path = _some_file(files, rng)
    return files | {path: files[path] + rng.choice((b"\n", b"\0", rng.randbytes(rng.randrange(1, 40))))}


def delete(files: Files, rng: random.Random) -> Files:
    """Delete a file."""
    path = _some_file(files, rng)
    return {other: data for other, data in files.items() if other != path}


def delete_folder(files: Files, rng: random.Random) -> Files:
    """Delete a folder with all below."""
    folder = rng.choice(_folders(files))
    return {path: data for path, data in files.items() if not path.startswith(f"{folder}/")}


def rename(files: Files, rng: random.Random) -> Files:
    """Give a file another name, or put it into another folder."""
    path = _some_file(files, rng)
    folder, _, name = path.rpartition("/")
    new = rng.choice([f"{path}x", f"{path}.bak", f"{rng.choice(_folders(files))}/{name}0", f"{folder}/z{name}".lstrip("/")])
    return {new if other == path else other: data for other, data in files.items()}


def rename_folder(files: Files, rng: random.Random) -> Files:
    """Give a folder another name."""
    folder = rng.choice(_folders(files))
    new = rng.choice([f"{folder}x", f"{folder[:-1]}9"])
    return _moved(files, {folder: new})


def swap(files: Files, rng: random.Random) -> Files:
    """Swap two files."""
    one = _some_file(files, rng)
    other = rng.choice([path for path in files if files[path] != files[one]])
    return files | {one: files[other], other: files[one]}


def swap_alike(files: Files, rng: random.Random) -> Files:
    """Swap two files of one name, or of one kind."""
    kinds = [sorted(path for path in files if path.endswith(end)) for end in ("c/0/0", "c/0/0/0", "zarr.json", ".ozx", ".npz")]
    same = rng.choice([kind for kind in kinds if len({files[path] for path in kind}) > 1])
    one = rng.choice(same)
    other = rng.choice([path for path in same if files[path] != files[one]])
    return files | {one: files[other], other: files[one]}


def swap_folders(files: Files, rng: random.Random) -> Files:
    """Swap two folders: images, scenarios, arrays."""
    folders = _folders(files)
    while True:
        one, other = rng.sample(folders, 2)
        if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/") or one.count("/") != other.count("/"):
            continue
        turned = _moved(files, {one: other, other: one})
        if turned != files:
            return turned


def strange(files: Files, rng: random.Random) -> Files:
    """Put a file where none belongs."""
    folder = rng.choice([*_folders(files), *({path.rpartition("/")[0] for path in files} - {""})])
    return files | {f"{folder}/{rng.choice(['notes.txt', '9', 'more/deep.bin', 'c/9/9', 'x.ozx'])}": rng.choice((b"", b"hello"))}


def folder_for_file(files: Files, rng: random.Random) -> Files:
    """Put a folder in the place of a file."""
    path = _some_file(files, rng)
    return {other: data for other, data in files.items() if other != path} | {f"{path}/zarr.json": b"{}"}


FAULTS = (flip, cut, append, delete, rename, swap, swap_alike, strange, folder_for_file)
OF_FOLDERS = (delete_folder, rename_folder, swap_folders)


def _some_file(files: Files, rng: random.Random) -> str:
    """Draw a file: first its kind, so that the few tables and texts are hit as often as the many chunks."""
    kinds: dict[str, list[str]] = {}
    for path, data in sorted(files.items()):
        if data:
            name = path.rpartition("/")[2]
            kinds.setdefault(name if "." in name else "chunk", []).append(path)
    return rng.choice(kinds[rng.choice([*kinds, "chunk"] if "chunk" in kinds else list(kinds))])


def _folders(files: Files) -> list[str]:
    found = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    return sorted(found)


def _moved(files: Files, places: dict[str, str]) -> Files:
    moved = {}
    for path, data in files.items():
        old = next((place for place in places if path.startswith(f"{place}/")), None)
        moved[path if old is None else places[old] + path[len(old) :]] = data
    return moved


# --- what must be said of them ----------------------------------------------------------------------------------------


def changed(old: Files, new: Files) -> list[str]:
    """Return the paths whose bytes are others, that are gone, or new."""
    return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))


def names(found: Verification, path: str) -> bool:
    """Whether a problem names a file: by its path, a folder above it, or the image it belongs to."""
    inner = path.removeprefix(IMAGES)
    owner = "/".join(inner.split("/")[:3]) if inner != path and inner.count("/") > 2 else None
    return any(
        problem.where == path
        or path.startswith(f"{problem.where}/")
        or (owner == problem.where and (inner[len(owner) + 1 :] in problem.message or "zarr.json" in problem.message
            or problem.rule in ("missing", "unexpected", "misplaced")))
        for problem in found.problems
    )  # fmt: skip


def assert_found(scene: Scene, files: Files, what: str) -> None:
    """Verify a folder with something wrong: every path that changed must be named."""
    with scene.showing(files) as folder:
        wrong = changed(scene.files, files)
        assert wrong, what
        try:
            found = verify(folder, pixels=False)
        except StoreError:
            if any(path.startswith(IMAGES) or path == MANIFEST or path.endswith(".ozx") for path in files):
                raise
            return  # nothing that could be recognised is left
        assert not found.ok, f"{what}: {wrong} not found"
        if MANIFEST in wrong:
            wrong = [MANIFEST]  # what should be in a release is then not known
        if found.kind == "store":  # what lies beside a store is no part of it
            wrong = [path for path in wrong if path in scene.files or path.startswith((IMAGES, "imports/"))]
        if found.kind == "release":  # without its store it is whole
            wrong = [path for path in wrong if not path.startswith(IMAGES)]
        unnamed = [path for path in wrong if not names(found, path)]
        assert not unnamed, f"{what}: {unnamed} not named by {[str(problem) for problem in found.problems]}"


@pytest.fixture(scope="module")
def store(colour_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(colour_store, tmp_path_factory.mktemp("faults") / "store")


@pytest.fixture(scope="module")
def release(colour_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(colour_release, tmp_path_factory.mktemp("faults") / "release")


@pytest.fixture(scope="module")
def both(colour_store: Path, colour_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A store with its release in the same folder."""
    folder = tmp_path_factory.mktemp("faults") / "both"
    shutil.copytree(colour_store, folder)
    shutil.copytree(colour_release, folder, dirs_exist_ok=True)
    return Scene(folder, folder.with_name("scene"))


def run(scene: Scene, faults: tuple[Callable[[Files, random.Random], Files], ...], times: int, seed: int) -> None:
    for number in range(times):
        rng = random.Random(f"{seed} {number}")
        fault = faults[number % len(faults)]
        assert_found(scene, fault(scene.files, rng), f"{fault.__name__} {seed} {number}")


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_a_store(store: Scene, seed: int) -> None:
    run(store, (*FAULTS, *OF_FOLDERS), 30, seed)


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_a_release(release: Scene, seed: int) -> None:
    run(release, FAULTS, 30, seed)


def test_faults_where_both_are(both: Scene) -> None:
    run(both, FAULTS, 27, 0)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10, 20))
@pytest.mark.parametrize("place", ["store", "release", "both"])
def test_a_thousand_faults(place: str, seed: int, request: pytest.FixtureRequest) -> None:
    run(request.getfixturevalue(place), FAULTS if place == "release" else (*FAULTS, *OF_FOLDERS), 100, seed)


# --- every bit of what vouches for the rest ---------------------------------------------------------------------------


def test_no_bit_of_a_root_goes_unseen(store: Scene) -> None:
    rng = random.Random(0)
    text, place = store.files[ROOT], open_target("memory://bits")
    for at in range(0, len(text), 9):
        data = bytearray(text)
        data[at] ^= 1 << rng.randrange(8)
        place.write(ROOT, bytes(data))
        with pytest.raises(StoreError):
            read_root(place)


def test_damage_in_a_pack_names_the_image(release: Scene) -> None:
    rng = random.Random(1)
    manifest = Manifest.from_bytes(release.files[MANIFEST])
    for image_id in manifest.images:
        pack = manifest.images[image_id].pack
        with zipfile.ZipFile(io.BytesIO(release.files[pack])) as archive:
            info = rng.choice([info for info in archive.infolist() if info.filename.startswith(image_id)])
        start = info.header_offset + 30 + len(info.filename) + 20  # a ZIP64 field of 20 bytes follows the name
        data = bytearray(release.files[pack])
        data[start + rng.randrange(info.file_size)] ^= 1 << rng.randrange(8)
        with release.showing(release.files | {pack: bytes(data)}) as folder:
            assert {problem.where for problem in verify(folder).problems} == {pack, image_id}


# --- edits that mend some checksums, but not all ----------------------------------------------------------------------


def with_root(store: Files, /, **changes: Any) -> Files:
    """Return a store whose root says something else, with its own checksum mended."""
    miso = json.loads(store[ROOT])["attributes"]["miso"]
    return store | {ROOT: root_text(miso | changes)}


def with_index(files: Files, edit: Callable[[dict[str, dict[str, Any]]], None], *, mend: bool) -> Files:
    """Return a store with another index: ``edit`` changes its rows by id; the root's checksum of it is mended or not."""
    rows = {row["image_id"]: row for row in pq.read_table(io.BytesIO(files[INDEX])).to_pylist()}
    edit(rows)
    data = to_parquet(index_table(rows.values()))
    sums = json.loads(files[ROOT])["attributes"]["miso"]["files"] | {INDEX: checksum(data)}
    return with_root(files | {INDEX: data}, files=sums) if mend else files | {INDEX: data}


def with_label(files: Files, image_id: str) -> Files:
    """Return a store in which an image itself says another label."""
    path = f"{IMAGES}{image_id}/zarr.json"
    document = json.loads(files[path])
    document["attributes"]["miso"]["label"] += 1
    return files | {path: canonical(document)}


def swap_labels(rows: dict[str, dict[str, Any]]) -> None:
    one, other = rows["gsp/test/0001"], rows["gsp/test/0002"]
    assert one["label"] != other["label"]
    for name in ("label", "class_name"):
        one[name], other[name] = other[name], one[name]


def swap_images(rows: dict[str, dict[str, Any]]) -> None:
    one, other = rows["gsp/test/0001"], rows["gsp/test/0002"]
    for name in ("image_digest", "truth_digest", "instances_digest", "checksum", "path"):
        one[name], other[name] = other[name], one[name]


def move_parameter(rows: dict[str, dict[str, Any]]) -> None:
    rows["gsp/test/0001"]["params.radius_px"] += 1


def index_digest(files: Files) -> str:
    return root_digest(pq.read_table(io.BytesIO(files[INDEX])).to_pylist())


@pytest.mark.parametrize("edit", [swap_labels, swap_images, move_parameter])
def test_an_edited_index(store: Scene, edit: Any) -> None:
    plain = with_index(store.files, edit, mend=False)
    mended = with_index(store.files, edit, mend=True)
    again = with_root(mended, root_digest=index_digest(mended))
    assert {where for where, _ in wrongs(store, plain)} == {INDEX}
    for files in (mended, again):
        found = wrongs(store, files)
        assert ("gsp/test/0001", "index_equals_attributes") in found or ("gsp/test/0001", "damaged") in found
        assert edit is move_parameter or "gsp/test/0002" in {where for where, _ in found}
    assert ((ROOT, "root_digest_equals_index") in wrongs(store, mended)) == (edit is swap_labels)


def test_an_image_with_another_label(store: Scene) -> None:
    image_id = "evsp/train/0002"
    plain = with_label(store.files, image_id)
    assert wrongs(store, plain) == {(image_id, "damaged")}

    def mend(rows: dict[str, dict[str, Any]]) -> None:
        rows[image_id]["checksum"] = checksum(plain[f"{IMAGES}{image_id}/zarr.json"])

    assert wrongs(store, with_index(plain, mend, mend=False)) >= {(INDEX, "damaged")}
    assert wrongs(store, with_index(plain, mend, mend=True)) == {(image_id, "index_equals_attributes")}


def test_a_root_with_another_recipe(store: Scene) -> None:
    recipe = json.loads(store.files[ROOT])["attributes"]["miso"]["recipe"]
    assert wrongs(store, with_root(store.files, recipe=recipe | {"seed": 8})) == {("recipe.yaml", "contradiction")}


def test_a_store_that_is_being_built(store: Scene) -> None:
    with store.showing(with_root(store.files, state="building", root_digest=None, images=None, files={})) as folder:
        found = verify(folder)
        assert {(problem.where, problem.rule) for problem in found.problems} == {(ROOT, "incomplete")}
        assert found.images == 12
        with pytest.raises(IncompleteStoreError, match="must be complete"):
            open_dataset(folder)


def wrongs(scene: Scene, files: Files, **options: Any) -> set[tuple[str, str]]:
    with scene.showing(files) as folder:
        return {(problem.where, problem.rule) for problem in verify(folder, **{"pixels": False, **options}).problems}


def changed_entries(manifest: Manifest, **changes: dict[str, Any]) -> Manifest:
    """Return a manifest with other entries of images; keys have ``_`` for ``/``."""
    images = dict(manifest.images)
    for name, change in changes.items():
        image_id = name.replace("_", "/")
        images[image_id] = images[image_id]._replace(**change)
    return replace(manifest, images=images)


def with_own_digest(manifest: Manifest) -> Manifest:
    return replace(manifest, root_digest=root_digest(entry._asdict() for entry in manifest.images.values()))


def test_an_edited_manifest(release: Scene) -> None:
    manifest = Manifest.from_bytes(release.files[MANIFEST])
    image_id, other = "gsp/test/0001", "gsp/test/0002"
    one, two = manifest.images[image_id], manifest.images[other]
    swapped = changed_entries(
        manifest,
        gsp_test_0001={"label": two.label, "class_name": two.class_name},
        gsp_test_0002={"label": one.label, "class_name": one.class_name},
    )

    def say(new: Manifest) -> set[tuple[str, str]]:
        return wrongs(release, release.files | {MANIFEST: new.to_bytes()})

    assert say(manifest) == set()
    text = manifest.to_bytes().replace(b'"hot"', b'"cold"')
    assert wrongs(release, release.files | {MANIFEST: text}) == {(MANIFEST, "damaged")}
    assert say(swapped) == {(MANIFEST, "damaged")}
    third = {(image_id, "contradiction"), (other, "contradiction"), (MANIFEST, "contradiction")}
    assert say(with_own_digest(swapped)) == third
    for change in ({"checksum": two.checksum}, {"pack": "train-001.ozx"}, {"pack": "../x.ozx"}, {"pack": "gone.ozx"}):
        found = say(changed_entries(manifest, gsp_test_0001=change))
        assert image_id in {where for where, _ in found}, change
    assert say(changed_entries(manifest, gsp_test_0001={"objects_digest": "00"})) == {(image_id, "contradiction")}
    assert say(replace(manifest, title="Another")) == {(MANIFEST, "contradiction")}
    assert say(replace(manifest, version="1.0.1")) == {(MANIFEST, "contradiction")}
    assert say(replace(manifest, recipe_digest="ab" * 32)) == {(MANIFEST, "contradiction")}
    fewer = {path: entry for path, entry in manifest.files.items() if path != "README.md"}
    assert say(replace(manifest, files=fewer)) == {("README.md", "unexpected")}
    wrong = {**manifest.files, "README.md": manifest.files["LICENSE"]}
    assert say(replace(manifest, files=wrong)) == {("README.md", "damaged")}


def test_a_pack_with_other_pixels_under_mended_outer_checksums(release: Scene) -> None:
    """Checksums of a pack and of the manifest are right; those inside the image are not."""
    manifest = Manifest.from_bytes(release.files[MANIFEST])
    pack, image_id = manifest.images["gsp/test/0001"].pack, "gsp/test/0001"
    data = rezipped(release.files[pack], {f"{image_id}/0/c/0/0/0": f"{image_id}/labels/truth/0/c/0/0"})
    entry = FileEntry(len(data), sha256(data).hexdigest())
    new = replace(manifest, files={**manifest.files, pack: entry})
    with release.showing(release.files | {pack: data, MANIFEST: new.to_bytes()}) as folder:
        assert {problem.where for problem in verify(folder, pixels=True).problems} == {image_id}
        with pytest.raises(CorruptStoreError, match="must have the checksum of its release"):
            open_dataset(folder)[image_id].image.all()


def rezipped(archive: bytes, replaced: dict[str, str]) -> bytes:
    """Return an archive in which members hold the bytes of others."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            new.writestr(zipfile.ZipInfo(info.filename), old.read(replaced.get(info.filename, info.filename)))
    return out.getvalue()


def test_images_swapped_in_a_pack_under_mended_outer_checksums(release: Scene) -> None:
    manifest = Manifest.from_bytes(release.files[MANIFEST])
    packs = [entry.pack for entry in manifest.images.values()]
    pack = max(packs, key=packs.count)
    one, other, *_ = [image_id for image_id, entry in manifest.images.items() if entry.pack == pack]
    with zipfile.ZipFile(io.BytesIO(release.files[pack])) as archive:
        names = archive.namelist()
    swapped = {name: name.replace(one, other) for name in names if name.startswith(f"{one}/")}
    swapped |= {name: name.replace(other, one) for name in names if name.startswith(f"{other}/")}
    swapped = {name: old for name, old in swapped.items() if old in names}
    data = rezipped(release.files[pack], swapped)
    new = replace(manifest, files={**manifest.files, pack: FileEntry(len(data), sha256(data).hexdigest())})
    found = wrongs(release, release.files | {pack: data, MANIFEST: new.to_bytes()})
    assert {where for where, _ in found} == {one, other}


def test_a_store_without_checksums(store: Scene) -> None:
    """As older versions built them: that nothing vouches for its bytes is said."""
    miso = json.loads(store.files[ROOT])["attributes"]["miso"]
    plain = {name: value for name, value in miso.items() if name not in ("files", "checksum")}
    found = wrongs(
        store, store.files | {ROOT: canonical({"attributes": {"miso": plain}, "node_type": "group", "zarr_format": 3})}
    )
    assert (ROOT, "unprotected") in found


# --- archives of stores -----------------------------------------------------------------------------------------------


def test_faults_of_an_archive(store: Scene, tmp_path: Path) -> None:
    """A store in a zip archive: what is flipped in a file is named, what is flipped between files crashes nothing."""
    path = tmp_path / "store.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in store.files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        infos = archive.infolist()
    whole = path.read_bytes()
    assert verify(path, pixels=False).ok
    for number in range(20):
        rng = random.Random(f"archive {number}")
        info = rng.choice([info for info in infos if info.file_size])
        inside = number % 3
        start = info.header_offset + (30 + len(info.filename) if inside else 0)
        at = (
            start + rng.randrange(info.file_size if inside else 30)
            if number % 5
            else rng.randrange(len(whole) - 4000, len(whole))
        )
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            found = verify(path, pixels=False)
        except StoreError as error:
            assert "store.zip" in str(error)  # noqa: PT017
        else:
            assert not (inside and number % 5) or names(found, info.filename)


# --- reading what is damaged ------------------------------------------------------------------------------------------


def test_reading_gives_the_right_pixels_or_an_error(release: Scene, colour_store: Path) -> None:
    expected = {image_id: everything(open_dataset(colour_store)[image_id]) for image_id in open_dataset(colour_store)}
    refused = 0
    for number in range(40):
        rng = random.Random(f"read {number}")
        pack = rng.choice([path for path in release.files if path.endswith(".ozx")])
        fault = rng.choice((flip, flip, cut, delete))
        files = release.files | fault({pack: release.files[pack]}, rng) if fault is not delete else dict(release.files)
        if fault is delete:
            files.pop(pack)
        with release.showing(files) as folder:
            try:
                dataset = open_dataset(folder)
            except CorruptStoreError:
                refused += 1
                continue
            hurt = {image_id for image_id, entry in Manifest.from_bytes(files[MANIFEST]).images.items() if entry.pack == pack}
            for image_id in expected:
                try:
                    got = everything(dataset[image_id])
                except CorruptStoreError as error:
                    refused += image_id in hurt and pack in str(error)
                    assert image_id in hurt
                else:
                    assert_equal_images(got, expected[image_id])
    assert refused >= 20


def test_only_the_damaged_image_is_refused(release: Scene, colour_store: Path) -> None:
    manifest = Manifest.from_bytes(release.files[MANIFEST])
    packs = [entry.pack for entry in manifest.images.values()]
    pack = max(packs, key=packs.count)
    image_id, *neighbours = [other for other, entry in manifest.images.items() if entry.pack == pack]
    assert neighbours
    data = rezipped(release.files[pack], {f"{image_id}/0/c/0/0/0": f"{neighbours[0]}/0/c/0/0/0"})
    with release.showing(release.files | {pack: data}) as folder:
        store, dataset = open_dataset(colour_store), open_dataset(folder)
        with pytest.raises(CorruptStoreError, match=rf"{pack}/{image_id}/0/c/0/0/0 must have the checksum of its release"):
            dataset[image_id].image.all()
        for other in neighbours:
            assert_equal_images(everything(dataset[other]), everything(store[other]))
        unverified = open_dataset(folder, verify=False)[image_id].image.all()
        assert np.array_equal(unverified, store[neighbours[0]].image.all())  # what was put there: nobody looked


@pytest.mark.parametrize("table", ["index.parquet", "instances.parquet"])
@pytest.mark.parametrize("fault", [flip, cut, append, delete])
def test_damaged_tables_of_a_release(release: Scene, table: str, fault: Any) -> None:
    files = {path: data for path, data in release.files.items() if path != table}
    with release.showing(files | fault({table: release.files[table]}, random.Random(3))) as folder:
        if table == "index.parquet":
            with pytest.raises(CorruptStoreError, match=r"index\.parquet must"):
                open_dataset(folder)
        else:
            dataset = open_dataset(folder)  # read when it is asked for
            with pytest.raises(CorruptStoreError, match=r"instances\.parquet must"):
                _ = dataset.objects


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["store", "release"])
def test_the_command_names_what_is_wrong(place: str, request: pytest.FixtureRequest) -> None:
    scene: Scene = request.getfixturevalue(place)
    with scene.showing(scene.files) as folder:
        done = cli("verify", folder, "--quiet")
        assert done.exit_code == 0
        assert "colour 1.0.0: 12 images, all as they should be" in done.output
    for number, fault in enumerate(FAULTS):
        rng = random.Random(f"cli {number}")
        files = fault(scene.files, rng)
        with scene.showing(files) as folder:
            done = cli("verify", folder, "--quiet", "--no-pixels")
            assert done.exit_code == 1
            wrong = MANIFEST if MANIFEST in changed(scene.files, files) else changed(scene.files, files)[0]
            owner = "/".join(wrong.removeprefix(IMAGES).split("/")[:3])
            assert wrong in done.output or owner in done.output or wrong.rpartition("/")[0] in done.output
            facts = json.loads(cli("verify", folder, "--no-pixels", "--json").output)
            assert not facts["ok"]
            assert all(f"{found['where']}: {found['rule']}: " in done.output for found in facts["problems"])


def test_the_command_says_when_there_is_nothing(tmp_path: Path, release: Scene) -> None:
    done = cli("verify", tmp_path, "--quiet")
    assert done.exit_code == 2
    assert "must be a miso-gen store, got a folder without images.zarr" in done.output
    texts = {path: data for path, data in release.files.items() if not path.endswith((".ozx", ".parquet"))}
    with release.showing(texts) as folder:
        done = cli("verify", folder, "--quiet")
        assert done.exit_code == 2
        assert "got the texts of colour@1.0.0 alone" in done.output


# --- changes made with care: every checksum is right, only rendering tells --------------------------------------------

COMPUTED = ("layout", "height", "width", "channels", "dtype", "digests", "histogram", "truth_1_share", "truth_2_share", "files")


def rewrite(store: Path, image_id: str, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change pixels or attributes of an image, and write it, the index and the root again as a build would."""
    target, view = open_target(store), open_dataset(store)[image_id]
    planes = {name: getattr(view, name).all() for name in ("image", "truth")}
    stored = view.record.instances_digest is not None
    if stored:
        planes["instances"] = view.instances.all()
    attributes = {name: value for name, value in view.attributes.items() if name not in COMPUTED}
    channels, height, width = view.shape
    layout = ImageLayout(height, width, channels, view.attributes["dtype"], "uint16" if stored else None)
    objects = view.objects
    change(planes, attributes)
    writer = ImageWriter(target, view.path, layout)
    writer.write(Box(0, 0, height, width), *planes.values())
    writer.finish(attributes, objects)
    ids = open_dataset(store).ids
    finish_root(target, read_root(target), collect_records(target, ids))


def one_pixel(planes: dict[str, Any], attributes: dict[str, Any]) -> None:
    planes["image"][1, 40, 50] ^= 1


def one_truth(planes: dict[str, Any], attributes: dict[str, Any]) -> None:
    planes["truth"][0, 0] = 2 if planes["truth"][0, 0] != 2 else 1


def other_label(planes: dict[str, Any], attributes: dict[str, Any]) -> None:
    attributes["label"] = 1 - attributes["label"]


def other_pair(planes: dict[str, Any], attributes: dict[str, Any]) -> None:
    attributes["pair"] = "gsp/test/p0009"


@pytest.fixture
def copied(colour_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(colour_store, tmp_path / "copied"))


@pytest.mark.parametrize(
    ("change", "said"),
    [(one_pixel, "pixels"), (one_truth, "truth"), (other_label, "label by the recipe is"), (other_pair, "pair by the recipe is")],
)
def test_careful_changes_are_found_by_rendering(copied: Path, colour_release: Path, change: Any, said: str) -> None:
    image_id = "gsp/test/0001"
    rewrite(copied, image_id, change)
    places = [copied]
    if change in (one_pixel, other_label):
        places.append(release_store(copied, copied.parent / "release"))
    for place in places:
        assert verify(place, pixels=True).ok
        found = verify(place, pixels=False, rebuild=True)
        assert {(problem.where, problem.rule) for problem in found.problems} == {(image_id, "rebuild")}
        assert any(said in problem.message for problem in found.problems)
        assert len(found.rebuilt) == 12
        assert {p.where for p in verify(place, pixels=False, against=colour_release).problems} == {image_id}
        done = cli("verify", place, "--rebuild", "--no-pixels", "--quiet")
        assert done.exit_code == 1
        assert f"{image_id}: rebuild: " in done.output


def test_a_sample_finds_what_is_in_it(copied: Path) -> None:
    image_id = "cell/train/0002"
    rewrite(copied, image_id, one_pixel)
    seen = set()
    for seed in range(6):
        found = verify(copied, pixels=False, rebuild=True, sample=4, seed=seed)
        assert len(found.rebuilt) == 4
        assert found.ok == (image_id not in found.rebuilt)
        assert {problem.where for problem in found.problems} <= {image_id}
        assert verify(copied, pixels=False, rebuild=True, sample=4, seed=seed).rebuilt == found.rebuilt
        seen.add(found.ok)
    assert seen == {True, False}
    assert not verify(copied, pixels=False, rebuild=True, sample=99).ok


@pytest.mark.parametrize("digest", ["old", "new"])
def test_an_edited_recipe_is_found_by_rendering(copied: Path, digest: str) -> None:
    root = read_root(open_target(copied))
    edited = Recipe.from_dict({**root.recipe, "seed": 99})
    text = recipe_text(edited.to_dict())
    (copied / "recipe.yaml").write_bytes(text)
    files = {path: (copied / path).read_bytes() for path in (ROOT, "recipe.yaml")}
    changes = {"recipe": edited.to_dict(), "files": {**root.files, "recipe.yaml": checksum(text)}}
    if digest == "new":
        changes["recipe_digest"] = edited.digest
    (copied / ROOT).write_bytes(with_root(files, **changes)[ROOT])
    assert verify(copied).ok
    found = verify(copied, pixels=False, rebuild=True)
    named = {problem.where for problem in found.problems}
    assert named >= set(open_dataset(copied).ids)
    assert (ROOT in named) == (digest == "old")


def test_images_that_the_recipe_does_not_make(copied: Path) -> None:
    """An image taken out with care, and one put in."""
    target = open_target(copied)
    target.remove(f"{IMAGES}evsp/train/0001")
    shutil.copytree(copied / f"{IMAGES}gsp/test/0001", copied / f"{IMAGES}gsp/test/0007")
    (copied / f"{IMAGES}gsp/test/0007/zarr.json").write_bytes(
        (copied / f"{IMAGES}gsp/test/0007/zarr.json").read_bytes().replace(b'"gsp/test/0001"', b'"gsp/test/0007"')
    )
    finish_root(target, read_root(target), collect_records(target, list_images(target)))
    assert verify(copied).ok
    found = verify(copied, pixels=False, rebuild=True)
    assert {(problem.where, problem.rule) for problem in found.problems} == {
        ("evsp/train/0001", "missing"),
        ("gsp/test/0007", "recipe"),
    }
